"""Predictions must cover exactly the questions of the annotations."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.evaluate import evaluate
from verl_vision_r1.evaluation.measure import Effort
from verl_vision_r1.evaluation.predictions.annotations import read_annotations
from verl_vision_r1.evaluation.predictions.coverage import assign
from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.evaluation.presentation.tables import notes

QUICK = Effort(permutations=0)


def samples(images: int = 3, question: str = "categories", source: str = "coco/detection") -> list[Any]:
    """Images of one cat each; with questions by category, each has a negative sample about dogs too."""
    made = []
    for index in range(images):
        for name in ("cat", "dog") if question == "category" else ("cat",):
            target = Target(
                *([[[10, 10, 20, 20]], ["cat"]] if name == "cat" else [[], []]),
                **{"width": 100, "height": 100, "categories": [name] if question == "category" else ["cat", "dog"]},
            )
            row = make_row(
                data_source=source,
                image=Path(f"/images/{index}.jpg"),
                target=target,
                prompt="Where?",
                image_id=str(index),
                split="val",
                index=len(made),
                question=question,
                subject=name if question == "category" else "",
            )
            made.append(row)
    return made


def coco(tmp_path: Path, images: int = 3) -> Path:
    path = tmp_path / "instances.json"
    entries = [{"id": index, "file_name": f"{index}.jpg", "width": 100, "height": 100} for index in range(images)]
    boxes = [{"id": index, "image_id": index, "category_id": 1, "bbox": [10, 10, 10, 10]} for index in range(images)]
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    path.write_text(json.dumps({"images": entries, "annotations": boxes, "categories": names}))
    return path


def predictions(tmp_path: Path, made: list[Any]) -> Path:
    return prediction_lines.write(tmp_path / "0.jsonl", prediction_lines.lines_of(made, prediction_lines.exact))


def test_complete_predictions_are_measured(tmp_path: Path) -> None:
    found = evaluate(predictions(tmp_path, samples()), coco(tmp_path), "plain", effort=QUICK).sets[0]
    assert found.coverage.complete
    assert (len(found.images), found.values["AP"], found.values["F1"]) == (3, 1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: lines[:2],
            r"got 1 images of coco/detection without a prediction .*--keep-empty\): 2\. Use --partial",
        ),
        (
            lambda lines: [*lines, lines[0]],
            r"got 1 images of coco/detection with several predictions for one question .*n=1\): 0",
        ),
        (
            lambda lines: [*lines, {**lines[0], "image_id": "dog"}],
            r"got 1 images of coco/detection with predictions for questions that the annotations do not have: dog",
        ),
    ],
)
def test_incomplete_predictions_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = prediction_lines.write(
        tmp_path / "0.jsonl", change(list(prediction_lines.lines_of(samples(), prediction_lines.exact)))
    )
    with pytest.raises(ValueError, match="expected one prediction for each question of the annotations, " + message):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)


def test_partial_evaluates_the_images_of_both_files(tmp_path: Path) -> None:
    lines = list(prediction_lines.lines_of(samples(), prediction_lines.exact))
    path = prediction_lines.write(tmp_path / "0.jsonl", [*lines[:2], lines[0], {**lines[0], "image_id": "dog"}])
    found = evaluate(path, coco(tmp_path), "plain", partial=True, effort=QUICK).sets[0]
    assert (found.images, found.values["AP"], found.values["recall_50"]) == (("0", "1"), 1.0, 1.0)
    coverage = found.coverage
    assert (coverage.missing, coverage.duplicated, coverage.unexpected) == (("2",), ("0",), ("dog",))
    assert (coverage.questions, coverage.answered) == (3, 2)


def test_a_truncated_file_is_refused_and_its_lines_counted(tmp_path: Path) -> None:
    path = predictions(tmp_path, samples())
    path.write_text(path.read_text()[:-40])
    with pytest.raises(
        ValueError,
        match=r"1 images of coco/detection without.*1 lines that are not JSON, first line 3",
    ):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)
    found = evaluate(path, coco(tmp_path), "plain", partial=True, effort=QUICK)
    assert (found.broken, len(found.sets[0].images)) == (1, 2)


def test_predictions_for_another_data_set_are_refused(tmp_path: Path) -> None:
    made = samples(source="pets/detection")
    for row in made:
        row["extra_info"]["image_id"] += "x"
    with pytest.raises(
        ValueError,
        match=r"expected predictions for the questions of .*, got none; the first prediction is for pets/detection"
        r" image 0x \(categories\)",
    ):
        evaluate(predictions(tmp_path, made), coco(tmp_path), "plain", partial=True, effort=QUICK)


def test_partial_skips_other_data_sets(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", samples())
    path = predictions(tmp_path, [*samples(), *samples(1, source="pets/detection")])
    with pytest.raises(ValueError, match="1 predictions for pets/detection, which the annotations do not contain"):
        evaluate(path, tmp_path / "val.parquet", "plain", effort=QUICK)
    assert evaluate(path, tmp_path / "val.parquet", "plain", partial=True, effort=QUICK).others == {
        "pets/detection": 1
    }


def test_questions_by_category_may_be_negative_samples(tmp_path: Path) -> None:
    path = predictions(tmp_path, samples(question="category"))
    found = evaluate(path, coco(tmp_path), "plain", effort=QUICK).sets[0]
    assert (found.coverage.questions, found.values["AP"]) == (6, 1.0)
    lines = [
        entry
        for entry in prediction_lines.lines_of(samples(question="category"), prediction_lines.exact)
        if entry["subject"] == "dog"
    ]
    with pytest.raises(ValueError, match="3 images of coco/detection without a prediction"):
        evaluate(prediction_lines.write(tmp_path / "1.jsonl", lines), coco(tmp_path), "plain", effort=QUICK)


def test_a_category_list_gives_the_questions(tmp_path: Path) -> None:
    listed = tmp_path / "category_list.json"
    listed.write_text(json.dumps({"0": ["cat", "dog"], "1": ["dog"], "2": ["dog"]}))
    lines = list(prediction_lines.lines_of(samples(question="category"), prediction_lines.exact))
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    with pytest.raises(ValueError, match="2 images of coco/detection with predictions for questions"):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    asked = [line for line in lines if line["subject"] == "dog" or line["image_id"] == "0"]
    path = prediction_lines.write(tmp_path / "0.jsonl", asked)
    found = evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    assert found.sets[0].values["recall_50"] == pytest.approx(
        1 / 3
    )  # Objects of categories that the list omits are missed.
    assert "objects of other categories count as missed" in found.sets[0].basis
    with pytest.raises(
        ValueError,
        match=r"--category-list: expected a COCO file as --annotations.*, got the sample file samples.parquet",
    ):
        evaluate(path, Path("samples.parquet"), "plain", category_list=listed, effort=QUICK)
    listed.write_text(json.dumps({"9": ["cat"]}))
    with pytest.raises(
        ValueError, match="--category-list: expected images among the 3 of the annotations, got 1 unknown, such as '9'"
    ):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    listed.write_text(json.dumps({"0": ["Cat"]}))
    with pytest.raises(
        ValueError,
        match="--category-list: expected categories among the 2 of the annotations, got 1 unknown, such as 'Cat'",
    ):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)


def test_coco_annotations_support_boxes_of_categories_only(tmp_path: Path) -> None:
    lines = [
        prediction_lines.line(Target([], ["cat"], width=9, height=9, task="classification"), "cat", question="class")
    ]
    with pytest.raises(
        ValueError, match=r"expected predictions for one data set and one kind of question, .*sample file"
    ):
        evaluate(prediction_lines.write(tmp_path / "0.jsonl", lines), coco(tmp_path), "plain")


def test_equal_expressions_with_other_boxes_are_other_questions(tmp_path: Path) -> None:
    made = []
    for index, box in enumerate(([0, 0, 9, 9], [50, 0, 60, 9], [0, 0, 9, 9])):
        target = Target([box], ["left"], width=100, height=100, task="grounding")
        facts = {"image_id": "1", "split": "val", "index": index, "question": "expression", "subject": "left"}
        made.append(
            make_row(data_source="refcoco/grounding", image=Path("/a.jpg"), target=target, prompt="Where?", **facts)
        )
    write_rows(tmp_path / "val.parquet", made)
    (annotated,) = read_annotations(tmp_path / "val.parquet", [])
    assert sorted(annotated.questions.values()) == [1, 2]
    lines = read_predictions(predictions(tmp_path, made)).lines
    taken, coverage = assign(annotated, lines)
    assert (len(taken), coverage.complete) == (3, True)
    assert not assign(annotated, lines[:2])[1].complete
    assert annotated.questions == Counter(annotated.questions)


def test_objects_do_not_count_twice(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*samples(), *samples(question="category")])
    with pytest.raises(
        ValueError, match="expected one kind of question for 'coco/detection', categories or category, got both"
    ):
        read_annotations(tmp_path / "val.parquet", [])


def test_the_same_question_twice_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*samples(), samples()[0]])
    with pytest.raises(ValueError, match=r"expected each question once, got 0 categories .*2 times"):
        read_annotations(tmp_path / "val.parquet", [])


def test_another_data_set_with_the_same_names_is_refused(tmp_path: Path) -> None:
    zebra = Target([[1, 1, 9, 9]], ["zebra"], width=50, height=50)
    lines = [prediction_lines.line(zebra, "[]", image_id=str(index)) for index in range(3)]
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    with pytest.raises(ValueError, match=r"image 0: expected \(100, 100\) pixels, got \(50, 50\) in line 1"):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)
    write_rows(tmp_path / "val.parquet", samples())
    with pytest.raises(
        ValueError,
        match=r"3 images of coco/detection without a prediction.*for questions that the annotations do not have",
    ):
        evaluate(path, tmp_path / "val.parquet", "plain", effort=QUICK)


def test_partial_skips_images_with_missing_predictions(tmp_path: Path) -> None:
    both = [{**row, "extra_info": {**row["extra_info"]}} for row in samples(question="category")]
    write_rows(tmp_path / "val.parquet", both)
    # The first image has only a prediction about dogs.
    lines = list(prediction_lines.lines_of(both, prediction_lines.exact))[1:]
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    found = evaluate(path, tmp_path / "val.parquet", "plain", partial=True, effort=QUICK).sets[0]
    assert (found.images, found.values["AP"]) == (("1", "2"), 1.0)


def test_partial_reports_data_sets_without_predictions(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*samples(), *samples(source="pets/detection")])
    found = evaluate(predictions(tmp_path, samples()), tmp_path / "val.parquet", "plain", partial=True, effort=QUICK)
    assert [measured.name for measured in found.sets] == ["coco/detection"]
    assert found.unanswered["pets/detection"].questions == 3
    assert "pets/detection: not evaluated, no predictions" in " ".join(notes(found))


def test_unsupported_kinds_of_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="visual_rft: expected questions of kind category, got categories"):
        evaluate(predictions(tmp_path, samples()), coco(tmp_path), "visual_rft", effort=QUICK)
    by_category = predictions(tmp_path, samples(question="category"))
    with pytest.raises(ValueError, match="qwen3_vl: expected questions of kind categories or own, got category"):
        evaluate(by_category, coco(tmp_path), "qwen3_vl", effort=QUICK)
    printed = " ".join(notes(evaluate(by_category, coco(tmp_path), "vision_r1", effort=QUICK)))
    assert "each category that an image contains, and 3 questions about absent categories" in printed


def test_one_source_has_one_task(tmp_path: Path) -> None:
    other = make_row(
        data_source="coco/detection",
        image=Path("/a.jpg"),
        target=Target([], ["cat"], width=9, height=9, task="classification"),
        **{"prompt": "What?", "image_id": "a", "split": "val", "index": 9},
    )
    write_rows(tmp_path / "val.parquet", [*samples(), other])
    with pytest.raises(
        ValueError, match="expected one task for the data_source 'coco/detection', got detection and class"
    ):
        read_annotations(tmp_path / "val.parquet", [])
