"""Evaluation of predictions with known errors, from the predictions file to the metrics."""

import json
from collections import Counter
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
TOLERANCE = 1e-6


def files(tmp_path: Path, samples: list[Any], model: prediction_lines.Model) -> tuple[Path, Path]:
    """A predictions file and its sample file."""
    write_rows(tmp_path / "samples.parquet", samples)
    return prediction_lines.write(
        tmp_path / "0.jsonl", prediction_lines.lines_of(samples, model)
    ), tmp_path / "samples.parquet"


def targets_of(samples: list[Any]) -> list[Target]:
    return [Target.from_json(row["reward_model"]["ground_truth"]) for row in samples]


def expected_ap(predictions: Path, targets: list[Target], reached: int) -> float:
    """AP without false positives, from the recall points that each category reaches.

    Every predicted box matches at `reached` of the ten IoU thresholds, and precision is 1 up to the largest recall.
    """
    predicted, objects = Counter[str](), Counter[str]()
    for text in predictions.read_text().splitlines():
        predicted.update(item["label"] for item in json.loads(json.loads(text)["output"]))
    for target in targets:
        objects.update(target.labels)
    points = np.linspace(0, 1, 101)
    recalls = [predicted[name] / count for name, count in objects.items()]
    return float(np.mean([(points <= recall).sum() / 101 if recall else 0.0 for recall in recalls])) * reached / 10


@pytest.mark.parametrize(
    ("fraction", "iou", "reached"), [(1.0, 0.72, 5), (0.6, 0.91, 9), (0.3, 0.99, 10), (1.0, 0.4, 0)]
)
def test_ap_of_missing_and_narrowed_boxes_is_known(
    tmp_path: Path, scattered: list[Any], fraction: float, iou: float, reached: int
) -> None:
    samples = [row for row in scattered if "/a/" in row["data_source"]]
    predictions, annotations = files(tmp_path, samples, prediction_lines.narrowed(fraction, iou))
    values = evaluate(predictions, annotations, "plain", effort=QUICK).sets[0].values
    assert values["AP"] == pytest.approx(expected_ap(predictions, targets_of(samples), reached), abs=TOLERANCE)
    found = sum(len(json.loads(json.loads(text)["output"])) for text in predictions.read_text().splitlines())
    objects = sum(len(target.boxes) for target in targets_of(samples))
    f1 = 2 * found / (found + objects)
    assert values["F1"] == pytest.approx(f1 * reached / 10, abs=TOLERANCE)
    assert values["F1_50"] == pytest.approx(f1 if reached else 0, abs=TOLERANCE)
    assert values["count_error"] == pytest.approx((objects - found) / len(samples))


def test_known_errors_on_photographs_of_raccoons(tmp_path: Path, raccoon: list[Any]) -> None:
    predictions, annotations = files(tmp_path, raccoon, prediction_lines.narrowed(0.7, 0.82))
    measured = evaluate(predictions, annotations, "vision_r1").sets[0]
    assert len(measured.images) == 200
    assert measured.values["AP"] == pytest.approx(expected_ap(predictions, targets_of(raccoon), 7), abs=TOLERANCE)
    assert measured.values["precision_50"] == 1.0
    low, high = measured.spread["AP"]  # Without false positives the order does not matter.
    assert low == pytest.approx(high)


def test_known_errors_on_coco128(tmp_path: Path, coco128: list[Any], coco128_annotations: Path) -> None:
    predictions, annotations = files(tmp_path, coco128, prediction_lines.narrowed(0.5, 0.97))
    by_samples = evaluate(predictions, annotations, "vision_r1", effort=QUICK).sets[0].values
    assert by_samples["AP"] == pytest.approx(expected_ap(predictions, targets_of(coco128), 10), abs=TOLERANCE)
    # COCO's file has the same images and objects, and crowds that are ignored.
    by_file = evaluate(predictions, coco128_annotations, "vision_r1", effort=QUICK).sets[0].values
    assert {name: by_file[name] for name in ("AP", "AP50", "F1")} == pytest.approx(
        {name: by_samples[name] for name in ("AP", "AP50", "F1")}
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["vision_r1", "qwen3_vl"])
def test_the_libraries_agree_on_coco128(
    tmp_path: Path, coco128: list[Any], coco128_annotations: Path, seed: int, protocol: str
) -> None:
    predictions, _ = files(tmp_path, coco128, prediction_lines.perturbed(seed))
    found = [
        evaluate(predictions, coco128_annotations, protocol, effort=Effort(permutations=0, library=library)).sets[0]
        for library in ("hotcoco", "faster-coco-eval", "pycocotools")
    ]
    assert 0.1 < found[0].values["AP"] < 0.6
    tables = [measured.tables.ap for measured in found]  # type: ignore[union-attr]
    for other in (1, 2):
        assert found[0].values == pytest.approx(found[other].values, abs=TOLERANCE, nan_ok=True)
        assert np.allclose(tables[0].by_category, tables[other].by_category, atol=TOLERANCE, equal_nan=True)


def test_permutations_of_equal_scores_have_a_spread(tmp_path: Path, coco128: list[Any]) -> None:
    predictions, annotations = files(tmp_path, coco128, prediction_lines.perturbed(0))
    measured = evaluate(predictions, annotations, "vision_r1", effort=Effort(permutations=4)).sets[0]
    low, high = measured.spread["AP"]
    assert low < high
    assert low <= measured.values["AP"] <= high


def test_data_sets_are_measured_separately(tmp_path: Path, scattered: list[Any]) -> None:
    predictions, annotations = files(tmp_path, scattered, prediction_lines.exact)
    found = evaluate(predictions, annotations, "plain", effort=QUICK)
    assert {measured.name: len(measured.images) for measured in found.sets} == {
        "made_up/a/detection": 30,
        "made_up/b/detection": 30,
    }
    assert all(measured.values["AP"] == 1 for measured in found.sets)
    assert found.means["detection"]["AP"] == found.as_dict()["means"]["detection"]["AP"] == 1
    alone = details(found.sets[0])["categories"]
    assert set(alone) == {"ant", "bee", "cow"}  # type: ignore[call-overload]


def test_published_subsets_have_their_mean(tmp_path: Path) -> None:
    names = [*FEW_SHOT_8, "zebra"]
    samples = []
    for index, name in enumerate(names):
        target = Target([[10, 10, 50, 50]], [name], width=100, height=100, categories=[name])
        facts = {"image_id": str(index), "split": "val", "index": index, "question": "category", "subject": name}
        samples.append(
            make_row(data_source="coco/detection", image=Path("/a.jpg"), target=target, prompt="?", **facts)
        )

    def model(target: Target) -> str:
        # Buses are missed, the others found.
        box = "[]" if target.labels[0] == "bus" else "[{'Position': [100, 100, 500, 500], 'Confidence': 0.9}]"
        return f"<think></think><answer>{box}</answer>"

    predictions, annotations = files(tmp_path, samples, model)
    values = evaluate(predictions, annotations, "visual_rft", effort=QUICK).sets[0].values
    assert (values["AP_few_shot_8"], values["AP_not_few_shot_8"]) == pytest.approx((7 / 8, 1), abs=1e-12)
    assert "AP_novel_15" not in values


def test_each_task_has_its_metrics(tmp_path: Path) -> None:
    facts = {"image": Path("/a.jpg"), "prompt": "?", "split": "val"}
    size = {"width": 100, "height": 100}
    grounded = Target([[10, 10, 50, 50]], ["it"], **size, task="grounding")
    samples = [
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
    completions = {
        "grounding": "(100,100),(500,400)",
        "classification": "<answer>a pug</answer>",
        "counting": "<answer>5</answer>",
    }
    predictions, annotations = files(tmp_path, samples, lambda target: completions[target.task])
    found = {measured.task: measured for measured in evaluate(predictions, annotations, "visual_rft").sets}
    assert found["grounding"].values["mean_IoU"] == pytest.approx(0.75)
    assert found["grounding"].values["accuracy_50"] == 1
    assert found["classification"].values == {"accuracy": 0, "accuracy_published": 1}
    assert found["counting"].values["absolute_error"] == 1
    with pytest.raises(
        ValueError, match="protocol vision_r1: expected detection or grounding, got pets/classification"
    ):
        evaluate(predictions, annotations, "vision_r1")


def test_completions_without_boxes_score_0(tmp_path: Path, scattered: list[Any]) -> None:
    predictions, annotations = files(tmp_path, scattered, lambda target: "I cannot see images.")
    measured = evaluate(predictions, annotations, "vision_r1").sets[0]
    assert (measured.values["AP"], measured.values["F1"], measured.values["recall_50"]) == (0, 0, 0)
    assert np.isnan(measured.values["precision_50"])
    assert measured.reading.unparsed == measured.reading.completions == 30


def test_notes_have_the_assumptions_and_the_expected_questions(tmp_path: Path, scattered: list[Any]) -> None:
    predictions, annotations = files(tmp_path, scattered, prediction_lines.exact)
    printed = " ".join(notes(evaluate(predictions, annotations, "vision_r1", effort=QUICK)))
    assert "every box has the score 0.99" in printed
    assert "made_up/a/detection, made_up/b/detection: questions of the sample file" in printed
