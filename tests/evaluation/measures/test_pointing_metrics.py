"""Metrics of pointing: by hand, by size and by category, and through the evaluation of a predictions file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.compare import compare
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import details
from verl_vision_r1.evaluation.measures.pointing import areas, by_category, count_hits, point_ratios
from verl_vision_r1.evaluation.presentation.tables import grids
from verl_vision_r1.rewards.answers import Answer

FRAME = (1000.0, 1000.0)
SMALL, MEDIUM, LARGE = [0, 0, 20, 20], [100, 100, 150, 150], [200, 200, 400, 400]
CATS = Target([SMALL, MEDIUM, LARGE], ["cat"] * 3, 1000, 1000, ("cat",), "pointing")  # type: ignore[arg-type]
MIXED = Target([SMALL, LARGE], ["cat", "dog"], 1000, 1000, ("cat", "dog"), "pointing")  # type: ignore[arg-type]
NONE = Target([], [], 1000, 1000, ("dog",), "pointing")  # type: ignore[arg-type]


def pointed(*places: list[float], labels: tuple[str | None, ...] = ()) -> Answer:
    points = np.array(places, dtype=np.float64).reshape(-1, 2)
    return Answer(np.hstack([points, points]), labels or (None,) * len(points), frame=FRAME)


def test_by_hand() -> None:
    answers = [
        pointed([10, 10], [300, 300], [310, 310], [999, 999]),
        pointed([10, 10], [300, 300], labels=("cat", "cat")),
        pointed([1, 1]),
    ]
    hits = count_hits(answers, [CATS, MIXED, NONE])
    values = {name: float(ratio.value()) for name, ratio in point_ratios(hits).items()}
    assert values == pytest.approx(
        {
            **{"accuracy": 3 / 5, "precision": 3 / 7, "F1": 6 / 12},
            **{"accuracy_small": 1.0, "accuracy_medium": 0.0, "accuracy_large": 0.5},
            **{"count_accuracy": 1 / 3, "count_error": (1 + 0 + 1) / 3},
        }
    )
    assert by_category(hits) == {
        "cat": {"objects": 4, "predicted": 6, "accuracy": 3 / 4, "precision": 3 / 6, "F1": 6 / 10},
        "dog": {"objects": 1, "predicted": 1, "accuracy": 0.0, "precision": 0.0, "F1": 0.0},
    }


def test_the_size_is_that_of_the_outline() -> None:
    thin = [[200, 200, 400, 400, 399, 400]]
    target = Target([LARGE], ["cat"], 1000, 1000, task="pointing", outlines=[thin])  # type: ignore[arg-type]
    assert areas(target).tolist() == [100.0]
    hits = count_hits([pointed([399, 399.5])], [target])
    assert (hits.objects.tolist(), hits.hits.tolist()) == ([[1, 0, 0]], [[1, 0, 0]])


def test_nothing_predicted() -> None:
    values = {name: float(ratio.value()) for name, ratio in point_ratios(count_hits([pointed()], [CATS])).items()}
    assert (values["accuracy"], values["F1"], values["count_error"]) == (0.0, 0.0, 3.0)
    assert np.isnan(values["precision"])


def evaluated(folder: Path, name: str, write: Any, protocol: str = "plain") -> Evaluation:
    samples = [
        make_row(
            data_source="coco/pointing", image=Path("x.jpg"), target=target, prompt="Point.", image_id=str(index),
            split="val", index=index, question="points", subject=target.categories[0],
        )
        for index, target in enumerate([CATS] * 12 + [NONE] * 4)
    ]  # fmt: skip
    write_rows(folder / "samples.parquet", samples)
    predictions = prediction_lines.write(folder / name, prediction_lines.lines_of(samples, write))
    return evaluate(predictions, folder / "samples.parquet", protocol)


def middles(target: Target) -> str:
    places = ((target.boxes[:, :2] + target.boxes[:, 2:]) / 2).tolist()
    return json.dumps([{"point_2d": place, "label": "cat"} for place in places])


def first_in_tags(target: Target) -> str:
    x, y = target.boxes[0, :2] / 10 if len(target.boxes) else (0, 0)
    return f'<point x="{x}" y="{y}" alt="cat">cat</point>'


def test_a_predictions_file_is_evaluated_and_compared(tmp_path: Path) -> None:
    after = evaluated(tmp_path, "1.jsonl", middles)
    values = after.sets[0].values
    assert (values["accuracy"], values["precision"], values["F1"], values["count_accuracy"]) == (1, 1, 1, 1)
    before = evaluated(tmp_path, "0.jsonl", first_in_tags)
    assert before.sets[0].values["accuracy"] == pytest.approx(1 / 3)
    assert before.sets[0].values["precision"] == pytest.approx(12 / 16)
    found = compare(before, after, resamples=200)["coco/pointing"]["accuracy"]
    assert found.change == pytest.approx(2 / 3)
    assert found.excludes_zero
    assert details(after.sets[0])["categories"]["cat"]["objects"] == 36  # type: ignore[index]
    (table, _) = grids(after)
    assert ("accuracy", "100.0") in table.rows
    assert ("count_error", "0.00") in table.rows


def test_a_published_protocol_has_no_points(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"protocol vision_r1: .* got coco/pointing .* use plain"):
        evaluated(tmp_path, "0.jsonl", middles, "vision_r1")


def test_text_without_points_is_an_empty_prediction(tmp_path: Path) -> None:
    measured = evaluated(tmp_path, "0.jsonl", lambda target: "I cannot see images.").sets[0]
    assert (measured.values["accuracy"], measured.reading.unparsed) == (0.0, 16)
