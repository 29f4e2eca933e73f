"""The ablations of refusal: held-out negative samples are a data set of their own, and the table has every seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.demo import refusal
from verl_vision_r1.demo.ablation_results import Point, Results, start_variant
from verl_vision_r1.demo.ablation_table import ablation_table
from verl_vision_r1.demo.ablation_variants import NEVER_REFUSES, VARIANTS
from verl_vision_r1.demo.refusal_table import COLUMNS, refusal_table
from verl_vision_r1.demo.shapes import NAMES, OTHER_NAMES, draw_scene

SCENES = {"categories": (4, 2), "category": (12, 5)}


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    monkeypatch.setattr("verl_vision_r1.demo.run.SCENES", SCENES)
    monkeypatch.setattr(refusal, "SCENES_OF_OTHERS", (6, 3))
    folder = refusal.prepare_with_negatives(tmp_path, seed=0, negatives=0.5, absent=1.0)
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("train", "val")}


def counts(rows: list[dict[str, Any]]) -> dict[tuple[str, bool], int]:
    found: dict[tuple[str, bool], int] = {}
    for row in rows:
        key = row["data_source"], Target.from_json(row["reward_model"]["ground_truth"]).is_negative
        found[key] = found.get(key, 0) + 1
    return found


def test_training_has_negative_samples_and_validation_has_them_apart(rows: dict[str, list[dict[str, Any]]]) -> None:
    train, val = counts(rows["train"]), counts(rows["val"])
    assert train["shapes_category/detection", True] == train["shapes_category/detection", False]
    assert ("shapes_categories/detection", True) not in train
    assert (train["shapes_others/detection", True], val["shapes_others/detection", True]) == (3, 3)
    assert val["shapes_absent/detection", True] == 2 * SCENES["category"][1]
    alone = {"shapes_absent/detection", "shapes_others/detection"}
    assert {source for source, negative in val if negative} == alone
    assert not alone & {source for source, negative in val if not negative}


def test_without_negative_samples_only_validation_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verl_vision_r1.demo.run.SCENES", SCENES)
    monkeypatch.setattr(refusal, "SCENES_OF_OTHERS", (6, 3))
    folder = refusal.prepare_with_negatives(tmp_path, seed=0, negatives=0.0, absent=0.0)
    train = counts(pq.read_table(folder / "train.parquet").to_pylist())
    assert {key for key in train if key[1]} == set()
    assert counts(pq.read_table(folder / "val.parquet").to_pylist())["shapes_others/detection", True] == 3


def test_a_scene_of_other_colours_has_no_object_that_is_asked_for() -> None:
    _, scene = draw_scene(np.random.default_rng(0), names=OTHER_NAMES)
    assert len(scene.labels)
    assert not set(scene.labels) & set(NAMES)
    told = refusal._made_up(scene, "red circle", np.random.default_rng(0))
    assert told.labels in ((), ("red circle",))


def test_one_absent_category_resembles_an_object(tmp_path: Path) -> None:
    entry = {"image_id": 0, "category_id": NAMES.index("red circle"), "bbox": [0, 0, 9, 9]}
    document = {"images": [{"id": 0, "file_name": "0.png"}], "annotations": [entry]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    ((image, (near, other)),) = refusal._absent_categories(tmp_path / "a.json").items()
    assert image == "0.png"
    assert len({near, other, "red circle"}) == 3
    assert "red" in near or "circle" in near


def test_an_absent_category_gets_the_box_of_an_object_that_resembles_it_or_nothing() -> None:
    generator = np.random.default_rng(0)
    _, target = draw_scene(generator)
    name = next(name for name in NAMES if name not in target.labels)
    told = [refusal._made_up(target, name, generator) for _ in range(400)]
    empty = sum(not len(made.boxes) for made in told) / len(told)
    assert abs(empty - refusal.REFUSED) < 0.1
    objects = target.boxes.tolist()
    assert all(made.labels == (name,) and made.boxes.tolist()[0] in objects for made in told if len(made.boxes))
    assert "[]" in refusal._written(Target([], [], 140, 140))


def points(value: float) -> list[Point]:
    numbers: dict[str, dict[str, float]] = {}
    for where, name in COLUMNS.values():
        numbers.setdefault(where, {})[name] = value
    return [Point(3, 9.0, numbers)]


def test_the_table_has_each_seed_and_the_mean(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    assert refusal_table(results, 3).rows == ()
    results.add(start_variant(NEVER_REFUSES), 0, 0, points(0.1))
    for seed, value in enumerate((0.2, 0.3, 0.4)):
        results.add("refusal", 3, seed, points(value))
    results.add("refusal_none", 3, 1, points(0.5))
    rows = {row[:2]: row[2] for row in refusal_table(results, 3).rows}
    title = VARIANTS["refusal"].title
    assert rows == {
        ("initial model", ""): "10.0",
        (VARIANTS["refusal_none"].title, "1"): "50.0",
        (title, "0"): "20.0",
        (title, "1"): "30.0",
        (title, "2"): "40.0",
        (title, "mean"): "30.0 ± 24.8",
    }
    assert title not in {row[0] for row in ablation_table(results, 3).rows}
