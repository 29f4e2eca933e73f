"""The dataset class that verl trains from: its own, with rows checked first and images left alone until needed."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from verl.utils.dataset.rl_dataset import RLHFDataset

from verl_vision_r1.data.parquet_checks import checked_rows
from verl_vision_r1.data.prompt_length import PromptLength, narrowed, processor_bounds, worded
from verl_vision_r1.data.readers.image_size import read_size
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.reward_manager.image_size import UNREADABLE, image_parts

GREY_SIZE = (64, 64)


class VisionR1Dataset(RLHFDataset):
    """verl's `RLHFDataset` for rows of `data.rows`. Select it with `data.custom_cls`.

    Images stay paths until the agent loop decodes them. verl writes them into `prompt` and into `raw_prompt` and sends
    both to the workers; nothing reads the first, so it is dropped. verl also decodes every image before training to
    find the prompts that are too long; here the row's sizes tell.

    The words of a question are those of `data.prompt_templates`, which recipes take from `vision_r1.prompt`. The pixel
    bounds of an image are narrowed to the processor's, so that its resize, which comes second, changes nothing.

    Raises:
        ValueError, FileNotFoundError: A file or a row in it is not as expected; with the file, the row and both sides.
    """

    def _read_files_and_tokenize(self) -> None:
        self.prompts = Prompts.from_config(dict(self.config.get("prompt_templates") or {}))
        self.bounds = processor_bounds(self.processor, self.mm_processor_kwargs)
        self.lengths = PromptLength(self.processor, self.prompts, self.bounds, self.apply_chat_template_kwargs)
        rows = (row for path in self.data_files for row in checked_rows(Path(path), prompts=self.prompts))
        # One pass over the files both checks the rows and measures their prompts.
        self.fitting = [self._fits(row, target.width, target.height) for row, target in rows]
        pa.default_memory_pool().release_unused()
        super()._read_files_and_tokenize()

    def _fits(self, row: dict[str, Any], width: int, height: int) -> bool:
        if self.lengths.side is None or not self.filter_overlong_prompts:
            return True
        return self.lengths.fits(row, width, height, int(self.max_prompt_length))

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> Any:
        """Leave out the rows whose prompt, image included, has more than `data.max_prompt_length` tokens."""
        if self.lengths.side is None or not self.filter_overlong_prompts:
            return super().maybe_filter_out_long_prompts(dataframe)
        fitting = self.fitting
        if len(fitting) != len(dataframe):  # verl took only `data.train_max_samples` of them.
            targets = (json.loads(row["reward_model"]["ground_truth"]) for row in dataframe)
            pairs = zip(dataframe, targets, strict=True)
            fitting = [self._fits(row, target["width"], target["height"]) for row, target in pairs]
        if not any(fitting):
            raise ValueError(
                f"data.max_prompt_length: expected room for at least one prompt of {self.data_files},"
                f" got {self.max_prompt_length}, which none of the {len(dataframe)} fits into"
            )
        print(f"{len(fitting) - sum(fitting)} of {len(fitting)} prompts are left out as too long")
        return dataframe if all(fitting) else dataframe.select([place for place, fits in enumerate(fitting) if fits])

    def _build_messages(self, example: dict[str, Any], key: str) -> list[dict[str, Any]]:
        example[key] = worded(example, self.prompts)
        example[self.image_key] = [self._image(image) for image in example[self.image_key]]
        messages: list[dict[str, Any]] = super()._build_messages(example, key)
        return messages

    def _image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        low, high = narrowed(image, self.bounds)
        # As text an embedded image stays small on its way, and qwen_vl_utils decodes it in the agent loop like a path.
        held = image.get("image") or "data:image;base64," + base64.b64encode(image["bytes"]).decode()
        return {"image": held, "min_pixels": low, "max_pixels": high}

    @classmethod
    async def process_multi_modal_info(cls, messages: Any, image_patch_size: int, config: Any) -> Any:
        """Called by verl's agent loop: the images of the messages, decoded.

        An image that cannot be read any more is replaced by a grey one, and marked: its samples score 0. verl would
        fail the whole prompt, and where all of a batch fail, the run.
        """
        try:
            return await super().process_multi_modal_info(messages, image_patch_size, config)
        except Exception:
            marked = [mark for part in image_parts(messages) if (mark := _mark_if_unreadable(part))]
            if not marked:
                raise
            return await super().process_multi_modal_info(messages, image_patch_size, config)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One row, with `raw_prompt` for the agent loop."""
        row: dict[str, Any] = super().__getitem__(item)
        row.pop(self.prompt_key)
        return row


def _mark_if_unreadable(part: dict[str, Any]) -> str:
    held = part["image"]
    if part.get(UNREADABLE):  # By another rollout of the same prompt, which shares its messages.
        return str(part[UNREADABLE])
    if not isinstance(held, str) or "://" in held or held.startswith("data:"):
        return ""
    try:
        read_size(Path(held))
    except ValueError as error:
        part["image"], part[UNREADABLE] = Image.new("RGB", GREY_SIZE, "grey"), str(error)
    return str(part.get(UNREADABLE, ""))
