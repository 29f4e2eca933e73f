"""The dataset class that verl trains from: its own, with rows checked first and images left alone until needed."""

import json
from pathlib import Path
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

from verl_vision_r1.data.rows import check_rows
from verl_vision_r1.frames import smart_resize


class VisionR1Dataset(RLHFDataset):
    """verl's `RLHFDataset` for rows of `data.rows`. Select it with `data.custom_cls`.

    Images stay paths until the agent loop decodes them. verl writes them into `prompt` and into `raw_prompt` and sends
    both to the workers; nothing reads the first, so it is dropped. verl also decodes every image before training to
    find the prompts that are too long; here the row's sizes tell.

    Raises:
        ValueError, FileNotFoundError: A file or a row in it is not as expected; with the file, the row and both sides.
    """

    def _read_files_and_tokenize(self) -> None:
        for path in self.data_files:
            check_rows(Path(path))
        super()._read_files_and_tokenize()

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> Any:
        """Leave out the rows whose prompt, image included, has more than `data.max_prompt_length` tokens."""
        images: Any = getattr(self.processor, "image_processor", None)
        if not self.filter_overlong_prompts or not hasattr(images, "merge_size"):
            return super().maybe_filter_out_long_prompts(dataframe)
        factor = images.patch_size * images.merge_size
        kept = dataframe.filter(lambda row: self._prompt_length(row, factor) <= self.max_prompt_length)
        if not len(kept):
            raise ValueError(
                f"data.max_prompt_length: expected room for at least one prompt of {self.data_files},"
                f" got {self.max_prompt_length}, which none of the {len(dataframe)} fits into"
            )
        print(f"{len(dataframe) - len(kept)} of {len(dataframe)} prompts are left out as too long")
        return kept

    def _prompt_length(self, row: dict[str, Any], factor: int) -> int:
        """Tokens of a prompt; `factor` is the side in pixels of the piece of an image that becomes one token."""
        target = json.loads(row["reward_model"]["ground_truth"])
        messages = self._build_messages(row, key=self.prompt_key)
        text = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **self.apply_chat_template_kwargs
        )
        length = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        for image in row[self.image_key]:
            bounds = image["min_pixels"], image["max_pixels"]
            width, height = smart_resize(target["width"], target["height"], factor, *bounds)
            length += width * height // factor**2 - 1  # The text has one token for the image already.
        return length

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One row, with `raw_prompt` for the agent loop."""
        row: dict[str, Any] = super().__getitem__(item)
        row.pop(self.prompt_key)
        return row
