"""Frames: conversion there and back, and the resize of the published processors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1 import Target, score
from verl_vision_r1.frames import (
    FRAMES,
    YFirst,
    frame_size,
    in_axes_of,
    read_size,
    resolve_frame,
    smart_resize,
    to_frame,
    write_size,
)

SIDES = st.integers(20, 4000)


@given(width=SIDES, height=SIDES, factor=st.sampled_from([28, 32]), frame=st.sampled_from(FRAMES))
def test_boxes_survive_a_round_trip(width: int, height: int, factor: int, frame: str) -> None:
    size = frame_size(frame, smart_resize(width, height, factor, 3136, 401408))
    boxes = np.array([[0.0, 0.0, width, height], [1.5, 2.5, width / 2, height / 3]])
    there = to_frame(boxes, (width, height), size)
    assert there[0] == pytest.approx([0, 0, *size])
    written = in_axes_of(size, there)
    assert (written[1, 0] == there[1, 0]) == (frame != "relative_1000_yxyx" or there[1, 0] == there[1, 1])
    np.testing.assert_allclose(to_frame(in_axes_of(size, written), size, (width, height)), boxes, rtol=1e-12)


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


@pytest.mark.parametrize("size", [(644.0, 476.0), (1.0, 1.0), YFirst((1000.0, 1000.0)), YFirst((640.0, 480.0))])
def test_a_written_size_is_read_with_its_axes(size: tuple[float, float]) -> None:
    found = read_size(write_size(size))
    assert (found, type(found)) == (size, type(size))


@pytest.mark.parametrize("text", ["1000x1000 xyxy", "1000x1000yxyx", "yxyx", " yxyx", "0x5 yxyx"])
def test_other_texts_are_no_size(text: str) -> None:
    assert read_size(text) is None


@pytest.mark.parametrize("preset", ["vision_r1", "robust"])
@pytest.mark.parametrize("frame", [YFirst((1000.0, 1000.0)), YFirst((500.0, 2000.0))])
def test_a_box_with_y_first_is_scored_with_its_axes(preset: str, frame: YFirst) -> None:
    target = Target([[64, 240, 320, 480]], ["cat"], width=640, height=480)
    x1, y1, x2, y2 = 0.1 * frame[0], 0.5 * frame[1], 0.5 * frame[0], frame[1]
    right = score(f'[{{"box_2d": [{y1}, {x1}, {y2}, {x2}], "label": "cat"}}]', target, preset, frame=frame)
    assert right.total == pytest.approx({"vision_r1": 3.0, "robust": 1.0}[preset])
    other = score(f'[{{"bbox_2d": [{y1}, {x1}, {y2}, {x2}], "label": "cat"}}]', target, preset, frame=frame)
    assert (other.mean_iou, other.parts["format"]) == (pytest.approx(1), 0)
    swapped = score(f'[{{"box_2d": [{x1}, {y1}, {x2}, {y2}], "label": "cat"}}]', target, preset, frame=frame)
    assert swapped.mean_iou < 0.5


def test_a_box_beyond_the_height_leaves_a_frame_with_y_first() -> None:
    target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=50)
    wide = YFirst((100.0, 50.0))
    inside = score('[{"box_2d": [0, 0, 50, 90], "label": "cat"}]', target, frame=wide)
    outside = score('[{"box_2d": [0, 0, 90, 50], "label": "cat"}]', target, frame=wide)
    assert (inside.flags["out_of_frame"], outside.flags["out_of_frame"]) == (False, True)


def test_auto_takes_the_frame_of_the_family() -> None:
    assert resolve_frame("auto", "gemma4") == "relative_1000_yxyx"
    assert resolve_frame("auto", "qwen2_5_vl") == "resized_pixels"
    assert resolve_frame("auto", "qwen3_vl") == "relative_1000"
    assert resolve_frame("relative_1", "anything") == "relative_1"


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("auto", "new_vl", "auto knows the families .* got 'new_vl'; set the frame explicitly to one of resized"),
        ("pixels", "qwen2_vl", "expected auto or one of resized_pixels, .* got 'pixels'"),
    ],
)
def test_an_unknown_frame_is_refused(name: str, family: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_frame(name, family)
