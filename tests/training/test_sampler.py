"""The sampler: what it draws, how often, and that a resumed run draws on."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from verl_vision_r1.data.difficulty import SampleDifficulty
from verl_vision_r1.evaluation.difficulty import write_difficulty
from verl_vision_r1.settings import Sampling
from verl_vision_r1.training.sampler import LEAST, DifficultySampler, make_sampler, weights_of

pytestmark = pytest.mark.verl

SIZE = 40


def loader_of(sampler: DifficultySampler, workers: int = 0) -> Any:
    """A data loader like verl's."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    return StatefulDataLoader(list(range(SIZE)), batch_size=4, sampler=sampler, drop_last=True, num_workers=workers)


def batches(loader: Any, count: int) -> list[list[int]]:
    """As verl fetches them: a new epoch begins when one is over."""
    found, iterator = [], iter(loader)
    while len(found) < count:
        try:
            found.append(next(iterator).tolist())
        except StopIteration:
            iterator = iter(loader)
    return found


WEIGHTS = np.linspace(0.0, 1.0, SIZE)


@pytest.mark.parametrize("done", [1, 5, 9, 10, 13])
def test_a_resumed_run_draws_what_it_would_have_drawn(done: int) -> None:
    whole = batches(loader_of(DifficultySampler(WEIGHTS, seed=3)), 25)
    first = loader_of(DifficultySampler(WEIGHTS, seed=3))
    iterator, before = iter(first), []
    while len(before) < done:
        try:
            before.append(next(iterator).tolist())
        except StopIteration:
            iterator = iter(first)
    second = loader_of(DifficultySampler(WEIGHTS, seed=3))
    second.load_state_dict(first.state_dict())
    assert before + batches(second, 25 - done) == whole


def test_the_order_is_that_of_the_seed_and_the_epoch() -> None:
    sampler = DifficultySampler(WEIGHTS, seed=3)
    first, second = list(sampler), list(sampler)
    assert first == list(DifficultySampler(WEIGHTS, seed=3)) != second
    assert first != list(DifficultySampler(WEIGHTS, seed=4))


def test_each_sample_is_drawn_as_often_as_its_weight_says() -> None:
    weights = np.array([0.0, 1.0, 2.5, 0.5])
    sampler = DifficultySampler(weights, seed=0)
    counts = sum(np.bincount(sampler.order(epoch), minlength=4) for epoch in range(400))
    assert len(sampler) == 3
    assert counts[0] == 0
    assert counts / counts.sum() == pytest.approx(weights / weights.sum(), abs=0.03)


def test_equal_weights_draw_every_sample_once() -> None:
    for count in (1, 7, 1000, 12345):
        assert sorted(DifficultySampler(np.full(count, 0.3), seed=1)) == list(range(count))


@pytest.mark.parametrize("draw", ["drop", "weight"])
def test_weights(draw: str) -> None:
    values = np.array([0.0, 0.05, 0.5, 1.0, np.nan])
    found = weights_of(values, Sampling(draw)).tolist()
    if draw == "drop":
        assert found == [0, 1, 1, 0, 1]
    else:
        assert found[:4] == pytest.approx([LEAST, 0.19, 1, LEAST])
        assert found[4] == pytest.approx(np.mean(found[:4]))


def test_another_measure_and_range() -> None:
    values = np.array([0.0, 1.0, 1.5, 2.5, 3.0])
    assert weights_of(values, Sampling("drop", range=(0.5, 2.5))).tolist() == [0, 1, 1, 0, 0]
    assert weights_of(values, Sampling("weight", range=(0.0, 3.0))).argmax() == 2


def dataset_of(names: list[str]) -> Any:
    """What verl's dataset has: a data frame with the columns of the samples."""
    from datasets import Dataset

    rows = [
        {"data_source": "coco/detection", "extra_info": {"image_id": name, "question": "category", "subject": "cat"}}
        for name in names
    ]
    return SimpleNamespace(dataframe=Dataset.from_list(rows))


def difficulty_file(folder: Path, acc: dict[str, float]) -> Path:
    entries = [
        SampleDifficulty("coco/detection", name, "category", "cat", 4, 0.5, 0.1, value) for name, value in acc.items()
    ]
    write_difficulty(folder / "difficulty.json", entries)
    return folder / "difficulty.json"


def test_samples_are_found_in_the_difficulty_file(tmp_path: Path) -> None:
    file = difficulty_file(tmp_path, {"a": 0.0, "b": 0.5, "c": 1.0})
    dataset = dataset_of(["c", "b", "new", "a"])
    sampler = make_sampler(Sampling("drop", file), dataset, None, batch=2)
    assert sampler is not None
    assert sorted(sampler) == [1, 2]  # The one between, and the unknown one.
    assert make_sampler(Sampling(), dataset, None, batch=2) is None


def test_mistakes_name_the_key(tmp_path: Path) -> None:
    file = difficulty_file(tmp_path, {"a": 0.0, "b": 0.5})
    with pytest.raises(ValueError, match=r"vision_r1\.sampler\.difficulty: expected samples of data\.train_files"):
        make_sampler(Sampling("drop", file), dataset_of(["x", "y"]), 0, batch=1)
    with pytest.raises(ValueError, match=r"vision_r1\.sampler\.range: .* data\.train_batch_size=2 .* got 1 of 2"):
        make_sampler(Sampling("drop", file), dataset_of(["a", "b"]), 0, batch=2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], r"vision_r1\.sampler: expected the keys difficulty, draw, measure, range"),
        ({"file": "x"}, r"vision_r1\.sampler: expected the keys"),
        ({"draw": "hard"}, r"sampler\.draw: expected one of uniform, drop, weight, got 'hard'"),
        (
            {"draw": "drop"},
            r"sampler\.difficulty: expected the file of `vision-r1 difficulty` for draw=drop, got None",
        ),
        ({"draw": "drop", "difficulty": "x", "measure": "reward"}, r"sampler\.measure: expected one of acc, mean"),
        ({"range": [1, 0]}, r"sampler\.range: expected \[LOW, HIGH\] with LOW < HIGH"),
        ({"range": "01"}, r"sampler\.range: expected"),
        ({"range": [True, 2]}, r"sampler\.range: expected"),
    ],
)
def test_a_wrong_setting_is_an_error(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling.from_config(config)


def test_settings() -> None:
    config = json.loads('{"draw": "weight", "difficulty": "d.json", "measure": "mean", "range": [0, 3]}')
    assert Sampling.from_config(config) == Sampling("weight", Path("d.json"), "mean", (0.0, 3.0))
    assert Sampling.from_config({}) == Sampling()
