"""The names of lmms-eval for metrics of the same definition."""

from pathlib import Path

import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.data.readers.odinw import SETS_13
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import Effort

SIZE = {"width": 100, "height": 100}


def evaluated(tmp_path: Path, sets: list[str], task: str, model: prediction_lines.Model, protocol: str) -> Evaluation:
    """One image with one box in each data set."""
    rows = []
    for index, name in enumerate(sets):
        target = Target([[0, 0, 50, 50]], ["cat"], **SIZE, categories=["cat"][: task == "detection"], task=task)
        question = "categories" if task == "detection" else "expression"
        facts = {"image_id": str(index), "split": "val", "index": index, "question": question}
        rows.append(make_row(data_source=name, image=Path("/a.jpg"), target=target, prompt="?", **facts))
    write_rows(tmp_path / "samples.parquet", rows)
    predictions = prediction_lines.write(tmp_path / "0.jsonl", prediction_lines.lines_of(rows, model))
    return evaluate(predictions, tmp_path / "samples.parquet", protocol, effort=Effort(permutations=0))


def narrow(target: Target) -> str:
    """A box with an IoU of 0.8 whose centre is inside the object."""
    return '[{"bbox_2d": [0, 0, 400, 500], "label": "cat"}]'


def test_expressions_have_the_names_of_refcoco(tmp_path: Path) -> None:
    found = evaluated(tmp_path, ["refcoco/grounding"], "grounding", narrow, "plain").as_dict()["lmms_eval"]
    assert found == {
        "refcoco/grounding": {
            "refcoco_IoU": pytest.approx(0.8),
            **{f"refcoco_ACC@0.{tenth}": 1.0 for tenth in (1, 3, 5, 7)},
            "refcoco_ACC@0.9": 0.0,
            "refcoco_Center_ACC": 1.0,
        }
    }


def test_the_thirteen_sets_have_a_mean(tmp_path: Path) -> None:
    """Half of the sets are found at IoU 0.8, which reaches 7 of 10 thresholds."""
    names = [f"odinw13/{name}/detection" for name in SETS_13]
    answers = iter([narrow(Target([], [], **SIZE)), "[]"] * 7)
    run = evaluated(tmp_path, names, "detection", lambda target: next(answers), "plain")
    assert run.as_dict()["lmms_eval"] == {
        "odinw13": {
            "odinw13_mAP": pytest.approx(0.7 * 7 / 13),
            "odinw13_mAP50": pytest.approx(7 / 13),
            "odinw13_mAP75": pytest.approx(7 / 13),
        }
    }


def test_other_limits_and_fewer_sets_have_no_alias(tmp_path: Path) -> None:
    names = [f"odinw13/{name}/detection" for name in SETS_13]
    run = evaluated(tmp_path, names, "detection", narrow, "qwen3_vl")
    assert list(run.as_dict()["lmms_eval"]["odinw13"]) == ["odinw13_mAP"]
    assert evaluated(tmp_path, names[1:], "detection", narrow, "plain").as_dict()["lmms_eval"] == {}
