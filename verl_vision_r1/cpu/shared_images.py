"""A faster update of verl's actor without a GPU: its vision tower encodes the image of a prompt once.

The rollouts of a prompt have the same image, and verl encodes it in each of them. With images of some hundred patches
and completions of some tokens, that is much of an update. Values and gradients stay the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import wrapt


def speed_up() -> None:
    """Apply the patch to Qwen2-VL and Qwen2.5-VL, now or when verl imports its functions for them."""
    wrapt.register_post_import_hook(_encode_once, "verl.models.transformers.qwen2_vl")


def _encode_once(module: Any) -> None:
    module._get_input_embeds = with_each_image_once(module._get_input_embeds)


def with_each_image_once(embed: Callable[..., Any]) -> Callable[..., Any]:
    """Let the vision tower encode only distinct images while `embed` runs, and repeat what it returns.

    Args:
        embed: A function whose first argument is the model, and which calls the model's `visual` with pixels of shape
            (patches, values) and `grid_thw` of shape (images, 3).
    """

    def patched(model: Any, *arguments: Any, **options: Any) -> Any:
        repeats: list[list[int]] = []

        def reduce(tower: Any, given: tuple[torch.Tensor], named: dict[str, torch.Tensor]) -> Any:
            pixels, grid = given[0], named["grid_thw"]
            if type(pixels) is not torch.Tensor:  # Those of `vision-r1 rehearse` have no values and stand for a GPU's.
                return None
            images = torch.split(pixels, grid.prod(1).tolist())
            first, which = distinct(images, grid)
            if len(first) == len(which):
                return None
            repeats.append(which)
            return (torch.cat([images[index] for index in first]),), {"grid_thw": grid[first]}

        def repeat(tower: Any, given: Any, named: dict[str, torch.Tensor], output: Any) -> Any:
            if not repeats:
                return None
            features = getattr(output, "pooler_output", output)
            sizes = named["grid_thw"].prod(1)
            images = torch.split(features, (sizes * len(features) // sizes.sum()).tolist())
            return torch.cat([images[index] for index in repeats.pop()])

        tower = model.visual
        with (
            tower.register_forward_pre_hook(reduce, with_kwargs=True),
            tower.register_forward_hook(repeat, with_kwargs=True),
        ):
            return embed(model, *arguments, **options)

    return patched


def distinct(images: Sequence[torch.Tensor], grid: torch.Tensor) -> tuple[list[int], list[int]]:
    """Which images differ.

    Args:
        images: (patches, values) of each image.
        grid: (images, 3) patches of each image by time, height and width.

    Returns:
        The index of the first of each kind of image, and for each image the place of its kind among these.
    """
    shapes = grid.tolist()
    first: list[int] = []
    which: list[int] = []
    for index, image in enumerate(images):
        kinds = reversed(range(len(first)))  # The rollouts of a prompt are often neighbours.
        same = (at for at in kinds if shapes[first[at]] == shapes[index] and torch.equal(images[first[at]], image))
        place = next(same, len(first))
        if place == len(first):
            first.append(index)
        which.append(place)
    return first, which
