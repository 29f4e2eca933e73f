"""The size of the image as the model saw it: the frame in which Qwen2.5-VL answers."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch

UNREADABLE = "unreadable"
"""The mark that the dataset class leaves on an image of the messages that it could not read."""


def size_from_position_ids(
    input_ids: torch.Tensor, position_ids: torch.Tensor, image_token_id: int, factor: int
) -> tuple[int, int] | None:
    """Read the size off the M-RoPE ids, which number the rows and columns of the image's tokens.

    Args:
        input_ids: (L,) token ids of the prompt.
        position_ids: (C, L) M-RoPE ids whose last two rows are height and width; anything else is no M-RoPE.
        image_token_id: Id of the token that stands for a piece of an image.
        factor: Pixels of one such piece's side.

    Returns:
        (width, height) in pixels of the first image, or None where the ids do not tell.

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
    """The images of messages."""
    for message in raw_prompt:
        for part in message["content"]:
            if isinstance(part, dict) and part.get("type") == "image":
                yield part


def pixel_bounds(raw_prompt: Iterable[Any]) -> tuple[int, int] | None:
    """The (min_pixels, max_pixels) that the first image of the messages carries, if it does."""
    for part in image_parts(raw_prompt):
        bounds = part.get("min_pixels"), part.get("max_pixels")
        return None if None in bounds else (int(bounds[0]), int(bounds[1]))  # type: ignore[arg-type]
    return None


def unreadable_image(raw_prompt: Iterable[Any]) -> str:
    """What the dataset class said of an image that it could not read, or nothing."""
    return next((str(part[UNREADABLE]) for part in image_parts(raw_prompt) if part.get(UNREADABLE)), "")
