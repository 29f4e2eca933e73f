"""The readers that `DATASETS` lists have the parameters and the result that `prepare` expects."""

from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pytest

from verl_vision_r1.data.readers.samples import Splits
from verl_vision_r1.data.readers.sources import FILES, SOURCES


@pytest.mark.parametrize("name", SOURCES)
def test_a_reader_takes_a_folder(name: str) -> None:
    hints, (_, *more) = get_type_hints(SOURCES[name]), signature(SOURCES[name]).parameters.values()
    assert (next(iter(hints.values())), hints["return"]) == (str, Splits)
    assert all(option.default is not option.empty for option in more)


@pytest.mark.parametrize("name", FILES)
def test_a_reader_of_files_takes_a_file_and_the_folder_of_its_images(name: str) -> None:
    assert list(get_type_hints(FILES[name]).values()) == [Path, Path | None, Splits]


def test_these_datasets_may_have_their_annotations_in_a_file() -> None:
    assert set(FILES) == {"coco", "lvis", "v3det", "voc", "vlm_r1", "easyr1", "swift", "odvg", "jsonl"}
