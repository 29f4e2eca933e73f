"""Whether a dump answers what was asked, and what is said where it does not."""

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


def rows(images: int = 3, question: str = "categories", source: str = "coco/detection") -> list[Any]:
    """Each image with a cat; asked by category, with a question about dogs as well."""
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


def dump(tmp_path: Path, made: list[Any]) -> Path:
    return prediction_lines.write(tmp_path / "0.jsonl", prediction_lines.lines_of(made, prediction_lines.exact))


def test_a_whole_dump_is_measured(tmp_path: Path) -> None:
    found = evaluate(dump(tmp_path, rows()), coco(tmp_path), "plain", effort=QUICK).sets[0]
    assert found.coverage.complete
    assert (len(found.images), found.values["AP"], found.values["F1"]) == (3, 1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:2], r"got 1 images of coco/detection without an answer .*: 2\. --partial"),
        (lambda lines: [*lines, lines[0]], r"got 1 images of coco/detection answered more than once .*n is 1.*: 0"),
        (
            lambda lines: [*lines, {**lines[0], "image_id": "dog"}],
            r"got 1 images of coco/detection with answers to other questions than the annotations have: dog",
        ),
    ],
)
def test_another_set_of_images_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = prediction_lines.write(
        tmp_path / "0.jsonl", change(list(prediction_lines.lines_of(rows(), prediction_lines.exact)))
    )
    with pytest.raises(ValueError, match="expected one answer to each question of the annotations, " + message):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)


def test_what_is_in_both_is_measured_when_told_to(tmp_path: Path) -> None:
    lines = list(prediction_lines.lines_of(rows(), prediction_lines.exact))
    path = prediction_lines.write(tmp_path / "0.jsonl", [*lines[:2], lines[0], {**lines[0], "image_id": "dog"}])
    found = evaluate(path, coco(tmp_path), "plain", partial=True, effort=QUICK).sets[0]
    assert (found.images, found.values["AP"], found.values["recall_50"]) == (("0", "1"), 1.0, 1.0)
    coverage = found.coverage
    assert (coverage.missing, coverage.doubled, coverage.foreign) == (("2",), ("0",), ("dog",))
    assert (coverage.questions, coverage.answered) == (3, 2)


def test_a_dump_that_was_cut_off_is_refused_and_counted(tmp_path: Path) -> None:
    path = dump(tmp_path, rows())
    path.write_text(path.read_text()[:-40])
    with pytest.raises(
        ValueError,
        match=r"1 images of coco/detection without.*1 lines that are no JSON, the first of them 3",
    ):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)
    found = evaluate(path, coco(tmp_path), "plain", partial=True, effort=QUICK)
    assert (found.broken, len(found.sets[0].images)) == (1, 2)


def test_a_dump_of_another_data_set_has_nothing_in_common(tmp_path: Path) -> None:
    made = rows(source="pets/detection")
    for row in made:
        row["extra_info"]["image_id"] += "x"
    with pytest.raises(
        ValueError, match=r"expected answers to questions of .*, got none, but such about pets/detection"
    ):
        evaluate(dump(tmp_path, made), coco(tmp_path), "plain", partial=True, effort=QUICK)


def test_answers_about_other_sets_are_left_out_when_told_to(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", rows())
    path = dump(tmp_path, [*rows(), *rows(1, source="pets/detection")])
    with pytest.raises(ValueError, match="1 answers about pets/detection, which the annotations do not have"):
        evaluate(path, tmp_path / "val.parquet", "plain", effort=QUICK)
    assert evaluate(path, tmp_path / "val.parquet", "plain", partial=True, effort=QUICK).others == {
        "pets/detection": 1
    }


def test_questions_by_category_may_ask_for_what_is_absent(tmp_path: Path) -> None:
    path = dump(tmp_path, rows(question="category"))
    found = evaluate(path, coco(tmp_path), "plain", effort=QUICK).sets[0]
    assert (found.coverage.questions, found.values["AP"]) == (6, 1.0)
    lines = [
        entry
        for entry in prediction_lines.lines_of(rows(question="category"), prediction_lines.exact)
        if entry["subject"] == "dog"
    ]
    with pytest.raises(ValueError, match="3 images of coco/detection without an answer"):
        evaluate(prediction_lines.write(tmp_path / "1.jsonl", lines), coco(tmp_path), "plain", effort=QUICK)


def test_an_existence_list_says_what_was_to_be_asked(tmp_path: Path) -> None:
    listed = tmp_path / "category_list.json"
    listed.write_text(json.dumps({"0": ["cat", "dog"], "1": ["dog"], "2": ["dog"]}))
    lines = list(prediction_lines.lines_of(rows(question="category"), prediction_lines.exact))
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    with pytest.raises(ValueError, match="2 images of coco/detection with answers to other questions"):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    asked = [line for line in lines if line["subject"] == "dog" or line["image_id"] == "0"]
    path = prediction_lines.write(tmp_path / "0.jsonl", asked)
    found = evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    assert found.sets[0].values["recall_50"] == pytest.approx(1 / 3)  # What the list leaves out cannot be found.
    assert "what it leaves out is missed" in found.sets[0].basis
    with pytest.raises(ValueError, match="--category-list: expected a COCO file beside it"):
        evaluate(path, Path("rows.parquet"), "plain", category_list=listed, effort=QUICK)
    listed.write_text(json.dumps({"9": ["cat"]}))
    with pytest.raises(
        ValueError, match="--category-list: expected images of the annotations' 3, got 1 more, such as '9'"
    ):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)
    listed.write_text(json.dumps({"0": ["Cat"]}))
    with pytest.raises(
        ValueError, match="--category-list: expected categories of the annotations' 2, got 1 more, such as"
    ):
        evaluate(path, coco(tmp_path), "plain", category_list=listed, effort=QUICK)


def test_coco_knows_boxes_of_categories_only(tmp_path: Path) -> None:
    lines = [
        prediction_lines.line(Target([], ["cat"], width=9, height=9, task="classification"), "cat", question="class")
    ]
    with pytest.raises(ValueError, match=r"expected answers of one data set to questions of one kind, .*file of rows"):
        evaluate(prediction_lines.write(tmp_path / "0.jsonl", lines), coco(tmp_path), "plain")


def test_two_expressions_of_the_same_words_are_two_questions(tmp_path: Path) -> None:
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
    lines = read_predictions(dump(tmp_path, made)).lines
    taken, coverage = assign(annotated, lines)
    assert (len(taken), coverage.complete) == (3, True)
    assert not assign(annotated, lines[:2])[1].complete
    assert annotated.questions == Counter(annotated.questions)


def test_an_object_is_not_looked_for_twice(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*rows(), *rows(question="category")])
    with pytest.raises(
        ValueError, match="expected questions of one kind about 'coco/detection', categories or category"
    ):
        read_annotations(tmp_path / "val.parquet", [])


def test_the_same_question_twice_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*rows(), rows()[0]])
    with pytest.raises(ValueError, match="expected each question once, got 2 times 0 categories"):
        read_annotations(tmp_path / "val.parquet", [])


def test_another_data_set_with_the_same_names_is_refused(tmp_path: Path) -> None:
    zebra = Target([[1, 1, 9, 9]], ["zebra"], width=50, height=50)
    lines = [prediction_lines.line(zebra, "[]", image_id=str(index)) for index in range(3)]
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    with pytest.raises(ValueError, match=r"image 0: expected \(100, 100\) pixels, got \(50, 50\) in line 1"):
        evaluate(path, coco(tmp_path), "plain", effort=QUICK)
    write_rows(tmp_path / "val.parquet", rows())
    with pytest.raises(ValueError, match=r"3 images of coco/detection without an answer.*other questions"):
        evaluate(path, tmp_path / "val.parquet", "plain", effort=QUICK)


def test_an_image_that_is_answered_in_part_is_left_out(tmp_path: Path) -> None:
    both = [{**row, "extra_info": {**row["extra_info"]}} for row in rows(question="category")]
    write_rows(tmp_path / "val.parquet", both)
    lines = list(prediction_lines.lines_of(both, prediction_lines.exact))[
        1:
    ]  # Of the first image only the dog was asked about.
    path = prediction_lines.write(tmp_path / "0.jsonl", lines)
    found = evaluate(path, tmp_path / "val.parquet", "plain", partial=True, effort=QUICK).sets[0]
    assert (found.images, found.values["AP"]) == (("1", "2"), 1.0)


def test_a_set_without_an_answer_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "val.parquet", [*rows(), *rows(source="pets/detection")])
    found = evaluate(dump(tmp_path, rows()), tmp_path / "val.parquet", "plain", partial=True, effort=QUICK)
    assert [measured.name for measured in found.sets] == ["coco/detection"]
    assert found.unanswered["pets/detection"].questions == 3
    assert "pets/detection: no answer" in " ".join(notes(found))


def test_a_protocol_has_its_kinds_of_questions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="visual_rft: expected questions of the kind category, got categories"):
        evaluate(dump(tmp_path, rows()), coco(tmp_path), "visual_rft", effort=QUICK)
    by_category = dump(tmp_path, rows(question="category"))
    with pytest.raises(ValueError, match="qwen3_vl: expected questions of the kind categories or own, got category"):
        evaluate(by_category, coco(tmp_path), "qwen3_vl", effort=QUICK)
    said = " ".join(notes(evaluate(by_category, coco(tmp_path), "vision_r1", effort=QUICK)))
    assert "one by one, and 3 times about one that is not there" in said


def test_one_source_has_one_task(tmp_path: Path) -> None:
    other = make_row(
        data_source="coco/detection",
        image=Path("/a.jpg"),
        target=Target([], ["cat"], width=9, height=9, task="classification"),
        **{"prompt": "What?", "image_id": "a", "split": "val", "index": 9},
    )
    write_rows(tmp_path / "val.parquet", [*rows(), other])
    with pytest.raises(
        ValueError, match="expected one task for the data_source 'coco/detection', got detection and class"
    ):
        read_annotations(tmp_path / "val.parquet", [])
