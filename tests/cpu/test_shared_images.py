"""Each image is encoded once: the embeddings and the gradients are those of the tower that encodes all."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from verl_vision_r1.cpu.shared_images import distinct, with_each_image_once

MERGED = 4
"""Patches per visual token."""


class Tower(torch.nn.Module):
    """A vision tower whose tokens depend on all patches of their image; it notes how many images it got."""

    def __init__(self, as_object: bool) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(6, 5)
        self.as_object = as_object
        self.images: list[int] = []

    def forward(self, pixels: torch.Tensor, grid_thw: torch.Tensor) -> Any:
        self.images.append(len(grid_thw))
        images = torch.split(self.layer(pixels), grid_thw.prod(1).tolist())
        tokens = torch.cat([image.reshape(-1, MERGED, 5).mean(1) + image.mean(0) for image in images])
        return SimpleNamespace(pooler_output=tokens) if self.as_object else tokens


def embed(model: Any, pixels: torch.Tensor, grid: torch.Tensor) -> Any:
    """What verl does with the output of the tower."""
    output = model.visual(pixels, grid_thw=grid)
    return getattr(output, "pooler_output", output)


def rollouts() -> tuple[torch.Tensor, torch.Tensor]:
    """Six images of three kinds, one of them of another shape with as many patches."""
    torch.manual_seed(0)
    kinds = {0: torch.randn(8, 6), 1: torch.randn(8, 6), 2: torch.randn(12, 6)}
    grids = {0: [1, 2, 4], 1: [1, 4, 2], 2: [1, 2, 6]}
    order = [0, 1, 0, 2, 2, 1]
    return torch.cat([kinds[kind] for kind in order]), torch.tensor([grids[kind] for kind in order])


def encoded(function: Callable[..., Any], as_object: bool) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    torch.manual_seed(1)
    model = SimpleNamespace(visual=Tower(as_object))
    tokens = function(model, *rollouts())
    (tokens * torch.arange(float(tokens.numel())).view_as(tokens)).sum().backward()
    gradient = model.visual.layer.weight.grad
    assert gradient is not None
    return tokens.detach(), gradient, model.visual.images


@pytest.mark.parametrize("as_object", [False, True])
def test_embeddings_and_gradients_stay_the_same(as_object: bool) -> None:
    tokens, gradient, images = encoded(embed, as_object)
    once, its_gradient, fewer = encoded(with_each_image_once(embed), as_object)
    assert (images, fewer) == ([6], [3])
    torch.testing.assert_close(once, tokens)
    torch.testing.assert_close(its_gradient, gradient)


def test_images_that_differ_go_through_as_they_are() -> None:
    model = SimpleNamespace(visual=Tower(as_object=False))
    pixels, grid = rollouts()
    with_each_image_once(embed)(model, pixels[:16], grid[:2])
    assert model.visual.images == [2]


def test_the_tower_is_left_as_it_was() -> None:
    model = SimpleNamespace(visual=Tower(as_object=False))
    with_each_image_once(embed)(model, *rollouts())
    embed(model, *rollouts())
    assert model.visual.images == [3, 6]


def test_images_are_the_same_only_with_the_same_shape_and_pixels() -> None:
    pixels, grid = rollouts()
    assert distinct(torch.split(pixels, grid.prod(1).tolist()), grid) == ([0, 1, 3], [0, 1, 0, 2, 2, 1])
    same = torch.zeros(8, 6)
    assert distinct([same, same], torch.tensor([[1, 2, 4], [1, 4, 2]])) == ([0, 1], [0, 1])
    other = same.clone()
    other[7, 5] = 1e-6
    assert distinct([same, other], torch.tensor([[1, 2, 4], [1, 2, 4]])) == ([0, 1], [0, 1])


def test_tensors_without_values_are_encoded_as_on_a_gpu() -> None:
    model = SimpleNamespace(visual=Tower(as_object=False))
    with FakeTensorMode(allow_non_fake_inputs=True):
        pixels = torch.zeros(16, 6)
    grid = torch.tensor([[1, 2, 4], [1, 2, 4]])
    with_each_image_once(lambda model, *given: model.visual(*given[:1], grid_thw=given[1]))(model, pixels, grid)
    assert model.visual.images == [2]
