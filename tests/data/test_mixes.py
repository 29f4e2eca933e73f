"""The mixes in `recipes/mixes` name datasets and options that exist."""

from pathlib import Path

import pytest

from verl_vision_r1.data.mix import read_mix
from verl_vision_r1.data.readers.sources import SOURCES

MIXES = sorted((Path(__file__).parents[2] / "recipes" / "mixes").glob("*.yaml"))


@pytest.mark.parametrize("path", MIXES, ids=lambda path: path.stem)
def test_prepare_accepts_the_mix(path: Path) -> None:
    assert {source.name for source in read_mix(path)} <= set(SOURCES)


def test_the_papers_mix_has_the_papers_numbers() -> None:
    samples = {source.name: source.max_samples for source in read_mix(MIXES[0])}
    assert samples["coco"] == 30_000
    assert samples["odinw13"] + samples["v3det"] == 9_000
    assert samples["refcoco"] + samples["visual_genome"] == 10_000
