"""The whole way from a dump to its numbers, on answers whose worth is known before."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.evaluate import evaluate
from verl_vision_r1.evaluation.measure import Effort, details
from verl_vision_r1.evaluation.predictions.protocols import FEW_SHOT_8
from verl_vision_r1.evaluation.presentation.tables import notes

QUICK = Effort(permutations=0)
ALIKE = 1e-6


def files(tmp_path: Path, rows: list[Any], answer: prediction_lines.Answer) -> tuple[Path, Path]:
    """A dump, and the rows that it answers."""
    write_rows(tmp_path / "rows.parquet", rows)
    return prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(rows, answer)
    ), tmp_path / "rows.parquet"


def targets_of(rows: list[Any]) -> list[Target]:
    return [Target.from_json(row["reward_model"]["ground_truth"]) for row in rows]


def expected_ap(dump: Path, targets: list[Target], reached: int) -> float:
    """AP where nothing that is said is wrong, counted by hand: the recall points that each category reaches.

    Every box that is said counts at `reached` of the ten thresholds, and precision is 1 as far as recall goes.
    """
    said, there = dict[str, int](), dict[str, int]()
    for text in dump.read_text().splitlines():
        for item in json.loads(json.loads(text)["output"]):
            said[item["label"]] = said.get(item["label"], 0) + 1
    for target in targets:
        for label in target.labels:
            there[label] = there.get(label, 0) + 1
    points = np.linspace(0, 1, 101)
    shares = [said.get(name, 0) / count for name, count in there.items()]
    return float(np.mean([(points <= share).sum() / 101 if share else 0.0 for share in shares])) * reached / 10


@pytest.mark.parametrize(
    ("share", "kept", "reached"), [(1.0, 0.72, 5), (0.6, 0.91, 9), (0.3, 0.99, 10), (1.0, 0.4, 0)]
)
def test_ap_of_missing_and_narrowed_boxes_is_known(
    tmp_path: Path, scattered: list[Any], share: float, kept: float, reached: int
) -> None:
    rows = [row for row in scattered if "/a/" in row["data_source"]]
    dump, annotations = files(tmp_path, rows, prediction_lines.narrowed(share, kept))
    values = evaluate(dump, annotations, "plain", effort=QUICK).sets[0].values
    assert values["AP"] == pytest.approx(expected_ap(dump, targets_of(rows), reached), abs=ALIKE)
    found = sum(len(json.loads(json.loads(text)["output"])) for text in dump.read_text().splitlines())
    there = sum(len(target.boxes) for target in targets_of(rows))
    f1 = 2 * found / (found + there)
    assert values["F1"] == pytest.approx(f1 * reached / 10, abs=ALIKE)
    assert values["F1_50"] == pytest.approx(f1 if reached else 0, abs=ALIKE)
    assert values["count_error"] == pytest.approx((there - found) / len(rows))


def test_known_errors_on_photographs_of_raccoons(tmp_path: Path, raccoon: list[Any]) -> None:
    dump, annotations = files(tmp_path, raccoon, prediction_lines.narrowed(0.7, 0.82))
    measured = evaluate(dump, annotations, "vision_r1").sets[0]
    assert len(measured.images) == 200
    assert measured.values["AP"] == pytest.approx(expected_ap(dump, targets_of(raccoon), 7), abs=ALIKE)
    assert measured.values["precision_50"] == 1.0
    low, high = measured.spread["AP"]  # Nothing is wrong, so no order is better than another.
    assert low == pytest.approx(high)


def test_known_errors_on_coco128(tmp_path: Path, coco128: list[Any], coco128_annotations: Path) -> None:
    dump, annotations = files(tmp_path, coco128, prediction_lines.narrowed(0.5, 0.97))
    by_rows = evaluate(dump, annotations, "vision_r1", effort=QUICK).sets[0].values
    assert by_rows["AP"] == pytest.approx(expected_ap(dump, targets_of(coco128), 10), abs=ALIKE)
    # COCO's own file has the same images, objects and, beside them, crowds that cost nothing.
    by_file = evaluate(dump, coco128_annotations, "vision_r1", effort=QUICK).sets[0].values
    assert {name: by_file[name] for name in ("AP", "AP50", "F1")} == pytest.approx(
        {name: by_rows[name] for name in ("AP", "AP50", "F1")}
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["vision_r1", "qwen3_vl"])
def test_both_libraries_say_the_same_on_coco128(
    tmp_path: Path, coco128: list[Any], coco128_annotations: Path, seed: int, protocol: str
) -> None:
    dump, _ = files(tmp_path, coco128, prediction_lines.perturbed(seed))
    found = [
        evaluate(dump, coco128_annotations, protocol, effort=Effort(permutations=0, library=library)).sets[0]
        for library in ("faster-coco-eval", "pycocotools")
    ]
    assert 0.1 < found[0].values["AP"] < 0.6
    assert found[0].values == pytest.approx(found[1].values, abs=ALIKE, nan_ok=True)
    tables = [measured.tables.ap for measured in found]  # type: ignore[union-attr]
    assert np.allclose(tables[0].by_category, tables[1].by_category, atol=ALIKE, equal_nan=True)


def test_the_order_of_equal_scores_makes_a_spread(tmp_path: Path, coco128: list[Any]) -> None:
    dump, annotations = files(tmp_path, coco128, prediction_lines.perturbed(0))
    measured = evaluate(dump, annotations, "vision_r1", effort=Effort(permutations=4)).sets[0]
    low, high = measured.spread["AP"]
    assert low < high
    assert low <= measured.values["AP"] <= high


def test_several_sets_are_measured_one_by_one(tmp_path: Path, scattered: list[Any]) -> None:
    dump, annotations = files(tmp_path, scattered, prediction_lines.exact)
    found = evaluate(dump, annotations, "plain", effort=QUICK)
    assert {measured.name: len(measured.images) for measured in found.sets} == {
        "made_up/a/detection": 30,
        "made_up/b/detection": 30,
    }
    assert all(measured.values["AP"] == 1 for measured in found.sets)
    assert found.means["detection"]["AP"] == found.as_dict()["means"]["detection"]["AP"] == 1
    alone = details(found.sets[0])["categories"]
    assert set(alone) == {"ant", "bee", "cow"}  # type: ignore[call-overload]


def test_published_subsets_have_a_mean_of_their_own(tmp_path: Path) -> None:
    names = [*FEW_SHOT_8, "zebra"]
    rows = []
    for index, name in enumerate(names):
        target = Target([[10, 10, 50, 50]], [name], width=100, height=100, categories=[name])
        facts = {"image_id": str(index), "split": "val", "index": index, "question": "category", "subject": name}
        rows.append(make_row(data_source="coco/detection", image=Path("/a.jpg"), target=target, prompt="?", **facts))

    def answer(target: Target) -> str:
        # Buses are not found, all else is.
        box = "[]" if target.labels[0] == "bus" else "[{'Position': [100, 100, 500, 500], 'Confidence': 0.9}]"
        return f"<think></think><answer>{box}</answer>"

    dump, annotations = files(tmp_path, rows, answer)
    values = evaluate(dump, annotations, "visual_rft", effort=QUICK).sets[0].values
    assert (values["AP_few_shot_8"], values["AP_not_few_shot_8"]) == (7 / 8, 1)
    assert "AP_novel_15" not in values


def test_each_task_has_its_numbers(tmp_path: Path) -> None:
    facts = {"image": Path("/a.jpg"), "prompt": "?", "split": "val"}
    size = {"width": 100, "height": 100}
    grounded = Target([[10, 10, 50, 50]], ["it"], **size, task="grounding")
    rows = [
        make_row(data_source="lisa/grounding", target=grounded, image_id="1", index=0, question="expression", **facts),
        make_row(
            data_source="pets/classification",
            target=Target([], ["pug"], **size, task="classification"),
            **{**facts, "image_id": "2", "index": 1, "question": "class"},
        ),
        make_row(
            data_source="clevr/counting",
            target=Target([], [], **size, task="counting", count=4),
            **{**facts, "image_id": "3", "index": 2, "question": "count"},
        ),
    ]
    answers = {
        "grounding": "(100,100),(500,400)",
        "classification": "<answer>a pug</answer>",
        "counting": "<answer>5</answer>",
    }
    dump, annotations = files(tmp_path, rows, lambda target: answers[target.task])
    found = {measured.task: measured for measured in evaluate(dump, annotations, "visual_rft").sets}
    assert found["grounding"].values["mean_IoU"] == pytest.approx(0.75)
    assert found["grounding"].values["accuracy_50"] == 1
    assert found["classification"].values == {"accuracy": 0, "accuracy_published": 1}
    assert found["counting"].values["absolute_error"] == 1
    with pytest.raises(
        ValueError, match="protocol vision_r1: expected detection or grounding, got pets/classification"
    ):
        evaluate(dump, annotations, "vision_r1")


def test_no_answer_at_all_is_worth_nothing(tmp_path: Path, scattered: list[Any]) -> None:
    dump, annotations = files(tmp_path, scattered, lambda target: "I cannot see images.")
    measured = evaluate(dump, annotations, "vision_r1").sets[0]
    assert (measured.values["AP"], measured.values["F1"], measured.values["recall_50"]) == (0, 0, 0)
    assert np.isnan(measured.values["precision_50"])
    assert measured.reading.unparsed == measured.reading.answers == 30


def test_the_protocol_says_what_it_assumes(tmp_path: Path, scattered: list[Any]) -> None:
    dump, annotations = files(tmp_path, scattered, prediction_lines.exact)
    said = " ".join(notes(evaluate(dump, annotations, "vision_r1", effort=QUICK)))
    assert "every box has the score 0.99" in said
    assert "made_up/a/detection, made_up/b/detection: asked was what the rows ask" in said
