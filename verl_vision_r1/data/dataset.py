"""The dataset class that verl trains from: its own, with rows checked first and no image that travels twice."""

from pathlib import Path
from typing import Any

from verl.utils.dataset.rl_dataset import RLHFDataset

from verl_vision_r1.data.rows import check_rows


class VisionR1Dataset(RLHFDataset):
    """verl's `RLHFDataset` for rows of `data.rows`. Select it with `data.custom_cls`.

    Images stay paths until the agent loop decodes them. verl writes them into `prompt` and into `raw_prompt` and sends
    both to the workers; nothing reads the first, so it is dropped.

    Raises:
        ValueError, FileNotFoundError: A file or a row in it is not as expected; with the file, the row and both sides.
    """

    def _read_files_and_tokenize(self) -> None:
        for path in self.data_files:
            check_rows(Path(path))
        super()._read_files_and_tokenize()

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One row, with `raw_prompt` for the agent loop."""
        row: dict[str, Any] = super().__getitem__(item)
        row.pop(self.prompt_key)
        return row
