"""How many tokens a row's prompt has, image included, without decoding the image."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verl_vision_r1.frames import smart_resize
from verl_vision_r1.prompts import Prompts

Bounds = tuple[int, int]
"""Least and greatest area in pixels that an image is resized to."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PromptLength:
    """Measures prompts for one model.

    Attributes:
        processor: The model's processor; its image processor counts tokens by patches, as those of Qwen-VL do.
        prompts: The words that questions are asked in.
        bounds: Those of the processor, from `processor_bounds`.
        template_options: Further arguments of the chat template.
    """

    processor: Any
    prompts: Prompts
    bounds: Bounds | None
    template_options: Mapping[str, Any]

    @functools.cached_property
    def side(self) -> int | None:
        """Side in pixels of the piece of an image that becomes one token, where the model counts them so."""
        images: Any = getattr(self.processor, "image_processor", None)
        return int(images.patch_size * images.merge_size) if hasattr(images, "merge_size") else None

    def fits(self, row: Row, width: int, height: int, limit: int) -> bool:
        """Whether a prompt has at most `limit` tokens. No token is shorter than a byte: most need no tokenizer."""
        messages = worded(row, self.prompts)
        text = sum(len(message["content"].encode()) for message in messages)
        most = self._of_images(row, width, height) + text + self._bytes_around
        return (len(messages) == 1 and most <= limit) or self.count(row, width, height) <= limit

    def count(self, row: Row, width: int, height: int) -> int:
        """Tokens of the prompt of a row whose image has that size.

        Args:
            row: As `data.rows.make_row` makes it.
            width: Width of the original image in pixels.
            height: Height of the original image in pixels.
        """
        text = self._rendered([{**message, "content": _parts(message)} for message in worded(row, self.prompts)])
        length = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        # The text has one token for each image already.
        return length + self._of_images(row, width, height) - len(row["images"])

    def _of_images(self, row: Row, width: int, height: int) -> int:
        if self.side is None:
            return 0
        bounds = (narrowed(image, self.bounds) for image in row["images"])
        sizes = (smart_resize(width, height, self.side, *pixels) for pixels in bounds)
        return sum(width * height // self.side**2 for width, height in sizes)

    @functools.cached_property
    def _bytes_around(self) -> int:
        """What the chat template writes around a prompt of one message."""
        return len(self._rendered([{"role": "user", "content": _parts({"content": "<image>"})}]).encode())

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        text: str = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **self.template_options
        )
        return text


def worded(row: Row, prompts: Prompts) -> list[dict[str, Any]]:
    """The messages of a row, the last one in the words of the configuration; the row's own stay as they are."""
    messages = [dict(message) for message in row["prompt"]]
    text = prompts.words_of(row.get("extra_info") or {}, row["reward_model"]["ground_truth"])
    if text is not None:
        messages[-1]["content"] = "<image>" + text
    return messages


def _parts(message: Row) -> list[dict[str, str]]:
    first, *others = message["content"].split("<image>")
    parts = [{"type": "text", "text": first}] if first else []
    for text in others:
        parts += [{"type": "image"}, *([{"type": "text", "text": text}] if text else [])]
    return parts


def processor_bounds(processor: Any, overrides: Mapping[str, Any] | None = None) -> Bounds | None:
    """The least and the greatest area that a model's own processor resizes to, or None where it has no such bounds.

    Args:
        processor: The model's processor.
        overrides: `data.mm_processor_kwargs`. Of `min_pixels` and `max_pixels`, transformers heeds both or neither.
    """
    given = overrides or {}
    size = given.get("size") or getattr(getattr(processor, "image_processor", None), "size", None) or {}
    if "min_pixels" in given and "max_pixels" in given:
        size = {"shortest_edge": given["min_pixels"], "longest_edge": given["max_pixels"]}
    low, high = (dict(size).get(edge) for edge in ("shortest_edge", "longest_edge"))
    return (int(low), int(high)) if low and high else None


def narrowed(image: Mapping[str, Any], bounds: Bounds | None) -> Bounds:
    """A row's bounds within those of the processor, so that its resize, the second one, changes nothing.

    Raises:
        ValueError: The two have nothing in common.

    Example:
        >>> narrowed({"min_pixels": 3136, "max_pixels": 401408}, (65536, 16777216))
        (65536, 401408)
    """
    low, high = image["min_pixels"], image["max_pixels"]
    if bounds is None:
        return low, high
    if high < bounds[0] or low > bounds[1]:
        raise ValueError(
            f"pixel bounds of a row: expected some within the processor's {bounds[0]} to {bounds[1]}, got {low} to"
            f" {high}; prepare the rows with other --min-pixels and --max-pixels, or set data.mm_processor_kwargs"
        )
    return max(low, bounds[0]), min(high, bounds[1])
