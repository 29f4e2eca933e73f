"""The mixes that come with the project name data sets and options that exist."""

from pathlib import Path

import pytest

from verl_vision_r1.data.mix import read_mix
from verl_vision_r1.data.readers.sources import SOURCES

MIXES = sorted((Path(__file__).parents[2] / "recipes" / "mixes").glob("*.yaml"))


@pytest.mark.parametrize("path", MIXES, ids=lambda path: path.stem)
def test_mix_is_one_that_prepare_takes(path: Path) -> None:
    assert {source.name for source in read_mix(path)} <= set(SOURCES)


def test_the_papers_mix_has_the_papers_numbers() -> None:
    rows = {source.name: source.rows for source in read_mix(MIXES[0])}
    assert rows["coco"] == 30_000
    assert rows["odinw13"] + rows["v3det"] == 9_000
    assert rows["refcoco"] + rows["visual_genome"] == 10_000
