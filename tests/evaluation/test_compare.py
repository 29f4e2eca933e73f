"""Confidence intervals of the difference between two runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.compare import Difference, compare
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import Effort

QUICK = Effort(permutations=0)


def evaluated(
    tmp_path: Path, samples: list[Any], model: prediction_lines.Model, name: str, protocol: str = "plain"
) -> Evaluation:
    annotations = tmp_path / "samples.parquet"
    write_rows(annotations, samples)
    predictions = prediction_lines.write(tmp_path / f"{name}.jsonl", prediction_lines.lines_of(samples, model))
    return evaluate(predictions, annotations, protocol, effort=QUICK)


def test_a_run_is_no_better_than_itself(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered, prediction_lines.perturbed(0), "0")
    for by_value in compare(run, run, resamples=50).values():
        assert all(
            (found.change, found.low, found.high, found.excludes_zero) == (0, 0, 0, False)
            for found in by_value.values()
        )


def test_the_interval_of_a_clear_gain_excludes_0(tmp_path: Path, scattered: list[Any]) -> None:
    before = evaluated(tmp_path, scattered, prediction_lines.narrowed(0.5, 0.62), "0")
    after = evaluated(tmp_path, scattered, prediction_lines.narrowed(0.9, 0.92), "1")
    found = compare(before, after, resamples=200)
    assert list(found) == ["made_up/a/detection", "made_up/b/detection", "mean of 2, detection"]
    for by_value in found.values():
        for name in ("AP", "AP50", "F1", "recall_50"):
            assert by_value[name].excludes_zero, name
            assert by_value[name].low < by_value[name].change < by_value[name].high
    means = [
        np.mean([found[f"made_up/{part}/detection"]["AP"].after for part in "ab"]),
        found["mean of 2, detection"]["AP"].after,
    ]
    assert means[0] == pytest.approx(means[1])


def test_the_intervals_of_similar_runs_include_0(tmp_path: Path, scattered: list[Any]) -> None:
    """In a few of fifteen pairs a 95 % CI may exclude 0."""
    runs = [evaluated(tmp_path, scattered, prediction_lines.perturbed(seed), str(seed)) for seed in range(6)]
    pairs = [(first, second) for index, first in enumerate(runs) for second in runs[index + 1 :]]
    excluding = [compare(*pair, resamples=300)["made_up/a/detection"]["AP"].excludes_zero for pair in pairs]
    assert sum(excluding) <= 4


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution(tmp_path: Path, scattered: list[Any]) -> None:
    before = evaluated(tmp_path, scattered, prediction_lines.perturbed(0), "0")
    after = evaluated(tmp_path, scattered, prediction_lines.perturbed(1), "1")
    found = compare(before, after, resamples=4000)["made_up/a/detection"]["count_error"]
    errors = [run.sets[0].ratios["count_error"].numerator for run in (before, after)]
    difference = errors[1] - errors[0]
    half = 1.96 * difference.std() / np.sqrt(len(difference))
    assert found.change == pytest.approx(difference.mean())
    assert (found.low, found.high) == pytest.approx(
        (difference.mean() - half, difference.mean() + half), abs=0.15 * half + 0.02
    )


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered, prediction_lines.exact, "0")
    with pytest.raises(ValueError, match="--against: expected the protocol qwen3_vl, got plain"):
        compare(run, evaluated(tmp_path, scattered, prediction_lines.exact, "1", "qwen3_vl"))
    half = evaluated(tmp_path, [row for row in scattered if "/a/" in row["data_source"]], prediction_lines.exact, "2")
    with pytest.raises(
        ValueError, match=r"2.jsonl: expected the data sets \['made_up/a/detection', 'made_up/b/detection'\]"
    ):
        compare(half, run)
    fewer = evaluated(tmp_path, scattered[:50], prediction_lines.exact, "3")
    with pytest.raises(
        ValueError,
        match=r"3.jsonl: expected predictions for the same questions.*got 25 and 30 questions, 5 of them in only one",
    ):
        compare(fewer, run)


def test_a_single_image_has_no_interval(tmp_path: Path, scattered: list[Any]) -> None:
    one = [row for row in scattered if len(row["reward_model"]["ground_truth"]) > 200][:1]
    runs = [
        evaluated(tmp_path, one, model, name)
        for name, model in (("0", lambda target: "[]"), ("1", prediction_lines.exact))
    ]
    found = compare(*runs, resamples=50)[one[0]["data_source"]]["AP"]
    assert (found.change, np.isnan(found.low), found.excludes_zero) == (1, True, False)


def test_intervals_use_the_detection_limits_of_the_protocol(tmp_path: Path) -> None:
    samples, boxes = [], [[4 * index, 0, 4 * index + 3, 9] for index in range(150)]
    for index in range(4):
        target = Target(boxes, ["cat"] * 150, width=1000, height=1000, categories=["cat"])
        facts = {"image_id": str(index), "split": "val", "index": index, "question": "categories"}
        samples.append(make_row(data_source="coco/detection", image=Path("/a"), target=target, prompt="?", **facts))
    runs = [
        evaluated(tmp_path, samples, model, name, "qwen3_vl")
        for name, model in (
            ("0", lambda target: json.dumps(json.loads(prediction_lines.exact(target))[:100])),
            ("1", prediction_lines.exact),
        )
    ]
    found = compare(*runs, resamples=20)["coco/detection"]["AP50"]
    assert found.change == pytest.approx(1 - 67 / 101)
    assert (found.low, found.high) == pytest.approx((found.change, found.change))


def test_an_interval_excludes_0_if_both_ends_have_one_sign() -> None:
    assert Difference(0.1, 0.2, 0.05, 0.15).excludes_zero
    assert Difference(0.2, 0.1, -0.15, -0.05).excludes_zero
    assert not Difference(0.1, 0.2, -0.01, 0.21).excludes_zero
    assert Difference(0.1, 0.2, 0.05, 0.15).as_dict()["change"] == pytest.approx(0.1)
