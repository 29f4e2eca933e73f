"""The dataset class for verl: its own, which checks every sample first and decodes images only when needed."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from verl.utils.dataset.rl_dataset import RLHFDataset

from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.prompt_length import PromptLength, narrowed, processor_bounds, templated
from verl_vision_r1.data.readers.image_size import read_size
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.reward_manager.image_size import UNREADABLE, image_parts

GREY_SIZE = (64, 64)


class VisionR1Dataset(RLHFDataset):
    """verl's `RLHFDataset` for the samples of `data.parquet`. Select it with `data.custom_cls`.

    Images stay paths until the agent loop decodes them. verl stores them in `prompt` and in `raw_prompt` and sends
    both to the workers; nothing reads `prompt`, so it is dropped. verl also decodes every image before training to
    find overlong prompts; here the image sizes in the samples are enough.

    Prompt templates come from `data.prompt_templates`, which recipes set from `vision_r1.prompt`. The pixel bounds of
    an image are narrowed to the processor's, so that the processor's resize, the second one, changes nothing.

    Raises:
        ValueError, FileNotFoundError: A file or a row of it is invalid; the message names the file, the row, what was
            expected and what came.
    """

    def _read_files_and_tokenize(self) -> None:
        self.prompts = Prompts.from_config(dict(self.config.get("prompt_templates") or {}))
        self.bounds = processor_bounds(self.processor, self.mm_processor_kwargs)
        self.lengths = PromptLength(self.processor, self.prompts, self.bounds, self.apply_chat_template_kwargs)
        rows = (row for path in self.data_files for row in checked_rows(Path(path), prompts=self.prompts))
        # One pass over the files checks the samples and measures their prompts.
        self.fitting = [self._fits(row, target.width, target.height) for row, target in rows]
        pa.default_memory_pool().release_unused()
        super()._read_files_and_tokenize()

    def _fits(self, row: dict[str, Any], width: int, height: int) -> bool:
        if not self.lengths.counts or not self.filter_overlong_prompts:
            return True
        return self.lengths.fits(row, width, height, int(self.max_prompt_length))

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> Any:
        """Drop samples whose prompt, image included, has more than `data.max_prompt_length` tokens."""
        if not self.lengths.counts or not self.filter_overlong_prompts:
            return super().maybe_filter_out_long_prompts(dataframe)
        fitting = self.fitting
        if len(fitting) != len(dataframe):  # verl took only `data.train_max_samples` of them.
            targets = (json.loads(row["reward_model"]["ground_truth"]) for row in dataframe)
            rows = zip(dataframe, targets, strict=True)
            fitting = [self._fits(row, target["width"], target["height"]) for row, target in rows]
        if not any(fitting):
            raise ValueError(
                f"data.max_prompt_length: expected room for at least one prompt of {self.data_files},"
                f" got {self.max_prompt_length}, which is too short for each of the {len(dataframe)} prompts;"
                " increase it, or prepare the samples with a smaller --max-pixels"
            )
        print(f"{len(fitting) - sum(fitting)} of {len(fitting)} prompts are too long and are dropped")
        return dataframe if all(fitting) else dataframe.select([index for index, fits in enumerate(fitting) if fits])

    def _build_messages(self, example: dict[str, Any], key: str) -> list[dict[str, Any]]:
        example[key] = templated(example, self.prompts)
        example[self.image_key] = [self._image(image) for image in example[self.image_key]]
        messages: list[dict[str, Any]] = super()._build_messages(example, key)
        return messages

    def _image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        low, high = narrowed(image, self.bounds)
        # Text keeps an embedded image compressed on its way; qwen_vl_utils decodes it in the agent loop like a path.
        content = image.get("image") or "data:image;base64," + base64.b64encode(image["bytes"]).decode()
        return {"image": content, "min_pixels": low, "max_pixels": high}

    @classmethod
    async def process_multi_modal_info(cls, messages: Any, image_patch_size: int, config: Any) -> Any:
        """Decode the images of the messages. verl's agent loop calls it.

        An image that can no longer be read is replaced by a grey one and marked; its rollouts score 0. verl itself
        fails the whole prompt, and the run if all prompts of a batch fail.
        """
        try:
            return await super().process_multi_modal_info(messages, image_patch_size, config)
        except Exception:
            marked = [mark for part in image_parts(messages) if (mark := _mark_if_unreadable(part))]
            if not marked:
                raise
            return await super().process_multi_modal_info(messages, image_patch_size, config)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One sample, with `raw_prompt` for the agent loop."""
        row: dict[str, Any] = super().__getitem__(item)
        row.pop(self.prompt_key)
        return row


def _mark_if_unreadable(part: dict[str, Any]) -> str:
    image = part["image"]
    if part.get(UNREADABLE):  # Set by another rollout of the same prompt, which shares its messages.
        return str(part[UNREADABLE])
    if not isinstance(image, str) or "://" in image or image.startswith("data:"):
        return ""
    try:
        read_size(Path(image))
    except ValueError as error:
        part["image"], part[UNREADABLE] = Image.new("RGB", GREY_SIZE, "grey"), str(error)
    return str(part.get(UNREADABLE, ""))
