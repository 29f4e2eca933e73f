"""The size of the resized image, which is the frame of Qwen2.5-VL's boxes."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch

UNREADABLE = "unreadable"
"""Key that our dataset class sets on an image part that it could not read; the value is the error message."""


def size_from_position_ids(
    input_ids: torch.Tensor, position_ids: torch.Tensor, image_token_id: int, factor: int
) -> tuple[int, int] | None:
    """Compute the image size from the M-RoPE ids, which contain the row and column of each image token.

    Args:
        input_ids: (L,) token ids of the prompt.
        position_ids: (C, L) M-RoPE ids; the last two rows are height and width. Other shapes are not M-RoPE.
        image_token_id: Id of the image placeholder token.
        factor: Side of one image token in pixels.

    Returns:
        (width, height) of the first image in pixels, or None if the ids are not M-RoPE or there is no image.

    Example:
        >>> ids = torch.tensor([7, 9, 9, 9, 9, 9, 9, 7])
        >>> height = torch.tensor([0, 1, 1, 1, 2, 2, 2, 4])
        >>> width = torch.tensor([0, 1, 2, 3, 1, 2, 3, 4])
        >>> size_from_position_ids(ids, torch.stack([height, height, width]), image_token_id=9, factor=28)
        (84, 56)
    """
    if position_ids.dim() != 2 or len(position_ids) < 3:
        return None
    places = torch.nonzero(input_ids == image_token_id).flatten()
    if not len(places):
        return None
    gaps = torch.nonzero(places.diff() > 1).flatten()
    first = places[: int(gaps[0]) + 1] if len(gaps) else places
    height, width = (int(row.max() - row.min() + 1) * factor for row in position_ids[-2:][:, first])
    return width, height


def image_parts(raw_prompt: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The image parts of chat messages."""
    for message in raw_prompt:
        for part in message["content"]:
            if isinstance(part, dict) and part.get("type") == "image":
                yield part


def pixel_bounds(raw_prompt: Iterable[Any]) -> tuple[int, int] | None:
    """(min_pixels, max_pixels) of the first image of the messages; None if not set."""
    for part in image_parts(raw_prompt):
        bounds = part.get("min_pixels"), part.get("max_pixels")
        return None if None in bounds else (int(bounds[0]), int(bounds[1]))  # type: ignore[arg-type]
    return None


def unreadable_image(raw_prompt: Iterable[Any]) -> str:
    """The dataset class's message about an image that it could not read; empty if all were read."""
    return next((str(part[UNREADABLE]) for part in image_parts(raw_prompt) if part.get(UNREADABLE)), "")
