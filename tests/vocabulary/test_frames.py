"""Frames: conversion there and back, and the resize of the published processors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1.frames import FRAMES, frame_size, resolve_frame, smart_resize, to_frame

SIDES = st.integers(20, 4000)


@given(width=SIDES, height=SIDES, factor=st.sampled_from([28, 32]), frame=st.sampled_from(FRAMES))
def test_boxes_survive_a_round_trip(width: int, height: int, factor: int, frame: str) -> None:
    size = frame_size(frame, smart_resize(width, height, factor, 3136, 401408))
    boxes = np.array([[0.0, 0.0, width, height], [1.5, 2.5, width / 2, height / 3]])
    there = to_frame(boxes, (width, height), size)
    assert there[0] == pytest.approx([0, 0, *size])
    np.testing.assert_allclose(to_frame(there, size, (width, height)), boxes, rtol=1e-12)


@given(width=SIDES, height=SIDES, factor=st.sampled_from([28, 32]))
def test_a_second_resize_within_wider_bounds_changes_nothing(width: int, height: int, factor: int) -> None:
    once = smart_resize(width, height, factor, 3136, 401408)
    assert smart_resize(*once, factor, factor**2, 16384 * factor**2) == once


@pytest.mark.slow  # Both modules import torch.
@pytest.mark.parametrize(
    ("module", "least_side"),
    [
        ("qwen_vl_utils.vision_process", 1),  # What verl uses, with the pixel bounds of the sample.
        ("transformers.models.qwen2_vl.image_processing_qwen2_vl", 32),  # It rounds slivers up further.
    ],
)
def test_resize_equals_the_published_processors(module: str, least_side: int) -> None:
    resize = pytest.importorskip(module).smart_resize
    random = np.random.default_rng(0).integers(1, 3000, size=(400, 2)).tolist()
    for width, height in [(28, 28), (1, 190), (4000, 32), (640, 480), (42, 70), *random]:
        if min(width, height) < least_side or max(width, height) > 200 * min(width, height):
            continue  # The processors refuse an aspect ratio above 200:1, and so does `vision-r1 prepare`.
        for factor, low, high in ((28, 3136, 401408), (32, 4096, 65536), (28, 50176, 100352)):
            expected = resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
            if min(expected):  # Under tight bounds they resize a sliver to size 0, which cannot be read.
                assert smart_resize(width, height, factor, low, high) == (expected[1], expected[0]), (width, height)


def test_auto_takes_the_frame_of_the_family() -> None:
    assert resolve_frame("auto", "qwen2_5_vl") == "resized_pixels"
    assert resolve_frame("auto", "qwen3_vl") == "relative_1000"
    assert resolve_frame("relative_1", "anything") == "relative_1"


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("auto", "llava", "auto knows the families .* got 'llava'; set the frame explicitly to one of resized"),
        ("pixels", "qwen2_vl", "expected auto or one of resized_pixels, .* got 'pixels'"),
    ],
)
def test_an_unknown_frame_is_refused(name: str, family: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_frame(name, family)
