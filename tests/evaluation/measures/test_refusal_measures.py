"""Refusal among negative samples and among the others; malformed completions are counted apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import prediction_lines
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.compare import compare
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import Effort
from verl_vision_r1.evaluation.measures.refusal import NAMES
from verl_vision_r1.evaluation.presentation.files import document_of
from verl_vision_r1.evaluation.presentation.tables import changes, grids

Make = Callable[[bool], Target]
BOX = [[10, 10, 60, 60]]
SIZE = (100, 100)
TEXTS = {
    True: ["[]", "```json\n[]\n```", '[{"bbox_2d": [100, 100, 600, 600], "label": "cat"}]', "There is no cat."],
    False: ['[{"bbox_2d": [100, 100, 600, 600], "label": "cat"}]', "[]", "?", '[{"bbox_2d": null}]'],
}
"""Completions for negative samples and for others: two refusals of four, and one of four."""
KINDS: dict[str, tuple[str, Make]] = {
    "detection": ("category", lambda empty: Target([] if empty else BOX, [] if empty else ["cat"], *SIZE, ("cat",))),
    "grounding": (
        "expression",
        lambda empty: Target([] if empty else BOX, () if empty else ("cat",), *SIZE, task="grounding"),
    ),
    "pointing": (
        "points",
        lambda empty: Target([] if empty else BOX, () if empty else ("cat",), *SIZE, ("cat",), "pointing"),
    ),
    "counting": ("count", lambda empty: Target([], (), *SIZE, task="counting", count=0 if empty else 2)),
}


def written(task: str, text: str) -> str:
    """The completion in the form of its task."""
    if task == "counting":
        return {"?": "?", "There is no cat.": "none", '[{"bbox_2d": null}]': "2 or 3"}.get(
            text, "2" if "100" in text else "0"
        )
    return text.replace('"bbox_2d": [100, 100, 600, 600]', '"point_2d": [300, 300]') if task == "pointing" else text


def measured(tmp_path: Path, task: str, texts: dict[bool, list[str]], name: str = "0") -> Evaluation:
    """One image for each completion."""
    question, make = KINDS[task]
    rows, lines = [], []
    for index, (empty, text) in enumerate((empty, text) for empty, found in texts.items() for text in found):
        target, facts = make(empty), {"image_id": str(index), "question": question, "subject": "cat"}
        source = f"made_up/{task}"
        more = {"prompt": "?", "split": "val", "index": index, **facts}
        rows.append(make_row(data_source=source, image=Path(f"/made_up/{index}.jpg"), target=target, **more))  # type: ignore[arg-type]
        lines.append(prediction_lines.line(target, written(task, text), data_source=source, **facts))
    write_rows(tmp_path / "samples.parquet", rows)
    predictions = prediction_lines.write(tmp_path / f"{name}.jsonl", lines)
    return evaluate(predictions, tmp_path / "samples.parquet", "plain", effort=Effort(permutations=0))


@pytest.mark.parametrize("task", KINDS)
def test_refusals_and_malformed_completions_are_counted(tmp_path: Path, task: str) -> None:
    values = measured(tmp_path, task, TEXTS).sets[0].values
    assert {name: values[name] for name in NAMES} == {
        "negatives_refused": 0.5,
        "positives_refused": 0.25,
        "negatives_malformed": 0.25,
    }


@pytest.mark.parametrize("task", KINDS)
def test_refusal_is_in_the_tables_and_in_json(tmp_path: Path, task: str) -> None:
    found = measured(tmp_path, task, TEXTS)
    table = {row[0]: row[1] for row in next(grids(found)).rows}
    assert (table["negatives_refused"], table["positives_refused"]) == ("50.0", "25.0")
    values = document_of(found, None)["sets"][f"made_up/{task}"]["values"]
    assert values["negatives_malformed"] == 0.25
    json.dumps(document_of(found, None), allow_nan=False)


@pytest.mark.parametrize("task", KINDS)
def test_without_negative_samples_there_is_no_row(tmp_path: Path, task: str) -> None:
    found = measured(tmp_path, task, {False: TEXTS[False]})
    values = found.sets[0].values
    assert np.isnan(values["negatives_refused"])
    assert values["positives_refused"] == 0.25
    assert not {"negatives_refused"} & {row[0] for row in next(grids(found)).rows}
    compared = list(changes(compare(found, found, resamples=10)))
    assert not {"negatives_refused"} & {row[0] for row in compared[0].rows}


@pytest.mark.parametrize("task", KINDS)
def test_a_change_of_refusal_has_an_interval(tmp_path: Path, task: str) -> None:
    never = {empty: [TEXTS[False][0]] * 8 for empty in (True, False)}
    always = {empty: ["[]"] * 8 for empty in (True, False)}
    before, after = measured(tmp_path, task, never, "0"), measured(tmp_path, task, always, "1")
    differences = compare(before, after, resamples=50)[f"made_up/{task}"]
    for name in ("negatives_refused", "positives_refused"):
        found = differences[name]
        assert (found.before, found.after, found.low, found.high) == (0.0, 1.0, 1.0, 1.0)


def test_a_category_with_a_crowd_is_neither_negative_nor_positive(tmp_path: Path) -> None:
    images = [{"id": index, "file_name": f"{index}.jpg", "width": 100, "height": 100} for index in (1, 2)]
    crowd = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "iscrowd": 1}
    cow = {"id": 2, "image_id": 1, "category_id": 2, "bbox": [10, 10, 50, 50], "iscrowd": 0}
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cow"}]
    document = {"images": images, "annotations": [crowd, cow], "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(document))

    def asked(image: str, name: str, boxes: list[list[int]]) -> dict[str, Any]:
        target = Target(boxes, [name] * len(boxes), *SIZE, (name,))  # type: ignore[arg-type]
        return prediction_lines.line(target, "[]", image_id=image, question="category", subject=name)

    lines = [asked("1", "cat", []), asked("1", "cow", [[10, 10, 60, 60]]), asked("2", "cat", [])]
    predictions = prediction_lines.write(tmp_path / "0.jsonl", lines)
    found = evaluate(predictions, tmp_path / "coco.json", "plain", effort=Effort(permutations=0)).sets[0]
    ratio = found.ratios["negatives_refused"]
    assert (ratio.numerator.tolist(), ratio.denominator.tolist()) == ([0.0, 1.0], [0.0, 1.0])
    assert found.ratios["positives_refused"].denominator.tolist() == [1.0, 0.0]


def test_many_data_sets_have_a_table_of_refusal(tmp_path: Path) -> None:
    found = measured(tmp_path, "detection", TEXTS)
    rows = [json.loads(line) for line in found.predictions.read_text().splitlines()]
    write = [{**row, "data_source": f"made_up/{index % 4}/detection"} for index, row in enumerate(rows)]
    samples = [
        make_row(
            data_source=row["data_source"],
            image=Path("/made_up/0.jpg"),
            target=Target.from_json(row["gts"]),
            **{"prompt": "?", "image_id": row["image_id"], "split": "val", "index": 0},  # type: ignore[arg-type]
            question="category",
            subject="cat",
        )
        for row in write
    ]
    write_rows(tmp_path / "samples.parquet", samples)
    predictions = prediction_lines.write(tmp_path / "0.jsonl", write)
    found = evaluate(predictions, tmp_path / "samples.parquet", "plain", effort=Effort(permutations=0))
    table = list(grids(found))[1]
    assert (table.title, table.heading) == ("detection, refusal", ("data set", *NAMES))
    assert table.rows[0] == ("made_up/0/detection", "100.0", "0.0", "0.0")
