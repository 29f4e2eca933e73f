"""The number of tokens of a sample's prompt, image included, without decoding the image."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verl_vision_r1.frames import smart_resize
from verl_vision_r1.prompts import Prompts

Bounds = tuple[int, int]
"""Minimum and maximum image area after the resize, in pixels."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PromptLength:
    """Measures prompts in tokens of one model.

    Attributes:
        processor: The model's processor, whose image processor makes tokens of patches, as those of Qwen-VL do, or
            resizes to a number of tokens, as Gemma's does.
        prompts: The prompt templates.
        bounds: The pixel bounds of the processor, from `processor_bounds`.
        template_options: Further arguments of the chat template.
    """

    processor: Any
    prompts: Prompts
    bounds: Bounds | None
    template_options: Mapping[str, Any]

    @functools.cached_property
    def side(self) -> int | None:
        """Side in pixels of the image area that becomes one token; None for other kinds of image processor."""
        return side_of(self.processor)

    @property
    def counts(self) -> bool:
        """Whether the tokens of an image follow from its size, for this kind of image processor."""
        return self.side is not None or hasattr(getattr(self.processor, "image_processor", None), "max_soft_tokens")

    def fits(self, row: Row, width: int, height: int, limit: int) -> bool:
        """Whether a prompt has at most `limit` tokens. A token has at least one byte: most need no tokenizer."""
        messages = templated(row, self.prompts)
        text = sum(len(message["content"].encode()) for message in messages)
        upper_bound = self._image_tokens(row, width, height) + text + self._chat_template_bytes
        return (len(messages) == 1 and upper_bound <= limit) or self.count(row, width, height) <= limit

    def count(self, row: Row, width: int, height: int) -> int:
        """Number of tokens of a sample's prompt.

        Args:
            row: A sample as `parquet.make_row` returns it.
            width: Width of the original image in pixels.
            height: Height of the original image in pixels.
        """
        text = self._render([{**message, "content": _parts(message)} for message in templated(row, self.prompts)])
        length = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        # The text already has one token per image.
        return length + self._image_tokens(row, width, height) - len(row["images"])

    def _image_tokens(self, row: Row, width: int, height: int) -> int:
        if not self.counts:
            return 0
        side = self.side or 2 * self.processor.image_processor.patch_size  # What verl's first resize rounds to.
        bounds = (narrowed(image, self.bounds) for image in row["images"])
        sizes = [smart_resize(width, height, side, *pixels) for pixels in bounds]
        if self.side is None:
            return self._soft_tokens(sizes)
        return sum(width * height // side**2 for width, height in sizes)

    def _soft_tokens(self, sizes: list[tuple[int, int]]) -> int:
        """Gemma's tokens of images of these sizes; each image has two more, around it."""
        heights_first = [(height, width) for width, height in sizes]
        found = self.processor._get_num_multimodal_tokens(image_sizes=heights_first).num_image_tokens
        return int(sum(found)) + 2 * len(found)

    @functools.cached_property
    def _chat_template_bytes(self) -> int:
        """Bytes that the chat template adds to a prompt of one message."""
        return len(self._render([{"role": "user", "content": _parts({"content": "<image>"})}]).encode())

    def _render(self, messages: list[dict[str, Any]]) -> str:
        text: str = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **self.template_options
        )
        return text


def side_of(processor: Any) -> int | None:
    """Side in pixels of the image area that becomes one token; None if the processor makes no tokens of patches."""
    images: Any = getattr(processor, "image_processor", None)
    return int(images.patch_size * images.merge_size) if hasattr(images, "merge_size") else None


def templated(row: Row, prompts: Prompts) -> list[dict[str, Any]]:
    """The messages of a sample, with the prompt template applied to the last one. The sample itself is unchanged."""
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
    """The pixel bounds of a model's processor, or None if it has none.

    Args:
        processor: The model's processor.
        overrides: `data.mm_processor_kwargs`. transformers ignores `min_pixels` or `max_pixels` without the other.
    """
    given = overrides or {}
    size = given.get("size") or getattr(getattr(processor, "image_processor", None), "size", None) or {}
    if "min_pixels" in given and "max_pixels" in given:
        size = {"shortest_edge": given["min_pixels"], "longest_edge": given["max_pixels"]}
    low, high = (dict(size).get(edge) for edge in ("shortest_edge", "longest_edge"))
    return (int(low), int(high)) if low and high else None


def narrowed(image: Mapping[str, Any], bounds: Bounds | None) -> Bounds:
    """A sample's pixel bounds, narrowed to the processor's so that the processor's resize changes nothing.

    Raises:
        ValueError: The two ranges do not overlap.

    Example:
        >>> narrowed({"min_pixels": 3136, "max_pixels": 401408}, (65536, 16777216))
        (65536, 401408)
    """
    low, high = image["min_pixels"], image["max_pixels"]
    if bounds is None:
        return low, high
    if high < bounds[0] or low > bounds[1]:
        raise ValueError(
            f"pixel bounds of a sample: expected an overlap with the processor's {bounds[0]} to {bounds[1]}, got {low}"
            f" to {high}; prepare the samples with other --min-pixels and --max-pixels, or set"
            " data.mm_processor_kwargs"
        )
    return max(low, bounds[0]), min(high, bounds[1])
