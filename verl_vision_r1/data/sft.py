"""Samples for verl's supervised trainer (`verl.trainer.sft_trainer`): the prompt, and the ground truth as its answer.

The answer has the format of the prompt template and the frame of the model, so that the same completion has the
maximum reward in a GRPO run on the same data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from verl_vision_r1.data import ON_THE_HUB
from verl_vision_r1.data.parquet import BATCH
from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.prompt_length import Bounds, narrowed, processor_bounds, side_of
from verl_vision_r1.documents import replaced
from verl_vision_r1.families import expect_trained
from verl_vision_r1.frames import Size, frame_size, resolve_frame, smart_resize
from verl_vision_r1.rewards.forms import correct_completion, rounded_boxes
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.targets import Target

PRESET_OF_PROMPT: Final = {
    "vision_r1": "robust",
    "vision_r1_release_2026": "vision_r1_release_2026",
    "visual_rft": "visual_rft",
    "vlm_r1": "vlm_r1_weighted",
}
"""A reward preset that reads the answers to each set of prompt templates."""


@dataclass(frozen=True)
class Writer:
    """Writes the answers that a model should give.

    Attributes:
        preset: Determines the format by its parsers, and the frame where the prompt asks for one.
        frame: The model's own frame, one of `frames.FRAMES`.
        side: Side of one visual token in pixels; None if the processor fits the image into a number of tokens.
        bounds: Pixel bounds of the model's processor; None if it has none.
    """

    preset: Preset
    frame: str
    side: int | None
    bounds: Bounds | None

    @classmethod
    def of_model(cls, model: str, prompt: str) -> "Writer":
        """The writer for a model.

        Args:
            model: A model folder, or a name on the Hugging Face Hub.
            prompt: The prompt templates, a name of the group `vision_r1/prompt`.

        Raises:
            ValueError: The model or its processor is not found, or the frame or the format is not known.
        """
        from transformers import AutoConfig, AutoProcessor

        if prompt not in PRESET_OF_PROMPT:
            raise ValueError(f"sft: expected --prompt to be one of {', '.join(PRESET_OF_PROMPT)}, got {prompt!r}")
        if not Path(model).exists() and not ON_THE_HUB.fullmatch(model):
            raise ValueError(
                f"sft: expected a model folder or a name on the hub, got {model}: there is no such folder"
            )
        try:
            family, processor = AutoConfig.from_pretrained(model).model_type, AutoProcessor.from_pretrained(model)
            if not hasattr(processor, "image_processor"):
                raise ValueError("it has no image processor")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"sft: expected a model of a family that verl trains with images, with its processor, got {model}:"
                f" {str(error).partition(chr(10))[0]}"
            ) from error
        expect_trained(family, "sft")
        bounds, frame = processor_bounds(processor), resolve_frame("auto", family)
        return cls(load_preset(PRESET_OF_PROMPT[prompt]), frame, side_of(processor), bounds)

    def answer(self, row: Mapping[str, Any], target: Target) -> str:
        """The completion with the ground truth of a sample.

        Raises:
            ValueError: The preset has no task of the target, or the boxes would have no size in the frame.
        """
        rules = self.preset.rules_of(target)
        frame = frame_size(rules.frame or self.frame, self._resized(row, target))
        text = correct_completion(target, rules.parser, rounded_boxes(target, frame), frame)
        if text is None:  # The presets of PRESET_OF_PROMPT have built-in parsers for all of their tasks.
            raise ValueError(f"sft: expected a built-in parser for {target.task}, got {rules.parser}")
        return text

    def _resized(self, row: Mapping[str, Any], target: Target) -> Size:
        if self.side is None:
            return target.width, target.height
        return smart_resize(target.width, target.height, self.side, *narrowed(row["images"][0], self.bounds))


def write_sft(source: Path, out: Path, writer: Writer) -> int:
    """Write samples of a GRPO run as those of a supervised run, all of them or none.

    Args:
        source: A parquet file of `vision-r1 prepare`.
        out: The file to write.
        writer: Writes the answers.

    Returns:
        The number of samples.

    Raises:
        FileNotFoundError: The source does not exist.
        ValueError: A sample is invalid, or has no answer.
    """
    given = pq.read_schema(source)
    columns = pa.schema({"messages": given.field("prompt").type, "images": given.field("images").type})
    rows, count = _sft_rows(source, writer), 0
    with replaced(out.absolute()) as unfinished, pq.ParquetWriter(unfinished, columns) as file:
        while batch := list(islice(rows, BATCH)):
            file.write_table(pa.Table.from_pylist(batch, schema=columns))
            count += len(batch)
    return count


def _sft_rows(source: Path, writer: Writer) -> Iterator[dict[str, Any]]:
    for row, target in checked_rows(source):
        answer = {"role": "assistant", "content": writer.answer(row, target)}
        low, high = narrowed(row["images"][0], writer.bounds)
        images = [{**image, "min_pixels": low, "max_pixels": high} for image in row["images"]]
        yield {"messages": [*row["prompt"], answer], "images": images}
