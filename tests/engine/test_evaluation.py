"""verl's validation as our evaluation uses it: every row is answered once, and nothing is trained or saved.

Asserted on what was dumped and what lies on the disk, never on the exit status alone.
"""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from runs import run as run_trainer

from verl_vision_r1 import Target, score
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.shapes import SIDE, write_shapes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

NAME, IMAGES = "shapes_evaluated", 7
"""Fewer rows than a batch of the training has: verl has no batch of training rows then."""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A model that was taught a little, and its answers: to all categories of each image, and to each alone."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.teach import batches_of_rows, read_rows, teach, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    demo = Demo(tmp_path_factory.mktemp("run"), steps=2, teaching_steps=25)
    source = write_shapes(demo.folder / "source", "train", IMAGES)
    _empty_the_first(source / "annotations" / "instances_train.json")
    asked = [
        Source("coco", str(source), alias="shapes", ask=ask, keep_empty=True) for ask in ("categories", "category")
    ]
    prepare(asked, demo.rows, Writing(val_fraction=1))
    rows = read_rows(demo.rows / "val.parquet")
    build_tiny_model(demo.model, texts_of(rows))
    teach(demo.model, lambda examples: batches_of_rows(examples, rows), demo.teaching_steps, lambda step, loss: None)
    before = _weights(demo.model)
    finished = run_trainer(
        demo,
        *("vision_r1/evaluation=greedy", f"trainer.experiment_name={NAME}", "data.val_batch_size=4"),
        *(f"data.train_files={demo.rows / 'val.parquet'}", f"trainer.validation_data_dir={_folder(demo)}"),
    )
    assert finished.status == 0, finished.log[-3000:]
    assert _weights(demo.model) == before
    return demo


def _empty_the_first(annotations: Path) -> None:
    """Leave nothing in an image but its shapes: an evaluation asks about it, and the right answer is none."""
    document = json.loads(annotations.read_text())
    document["annotations"] = [entry for entry in document["annotations"] if entry["image_id"]]
    annotations.write_text(json.dumps(document))


def _folder(demo: Demo) -> Path:
    return demo.folder / "evaluation" / NAME


def _weights(model: Path) -> str:
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def _answers(demo: Demo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_folder(demo) / "0.jsonl").read_text().splitlines()]


def _rows(demo: Demo) -> list[dict[str, Any]]:
    from verl_vision_r1.demo.teach import read_rows

    return read_rows(demo.rows / "val.parquet")


def test_every_row_is_answered_once(evaluated: Demo) -> None:
    facts = ("image_id", "question", "subject")
    answered = Counter(tuple(answer[name] for name in facts) for answer in _answers(evaluated))
    asked = Counter(tuple(row["extra_info"][name] or "" for name in facts) for row in _rows(evaluated))
    assert answered == asked
    assert set(answered.values()) == {1}
    assert len({image for image, question, _ in answered if question == "categories"}) == IMAGES


def test_an_answer_says_what_it_answers_and_in_which_frame(evaluated: Demo) -> None:
    truths = {row["reward_model"]["ground_truth"] for row in _rows(evaluated)}
    for answer in _answers(evaluated):
        assert answer["data_source"] == "shapes/detection"
        assert Path(answer["image"]) == evaluated.folder / "source" / "images" / "train" / f"{answer['image_id']}.png"
        assert answer["frame"] == f"{SIDE}x{SIDE}"
        assert answer["gts"] in truths
        expected = score(answer["output"], Target.from_json(answer["gts"]), "robust", frame=(SIDE, SIDE)).total
        assert answer["score"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("question", ["categories", "category"])
def test_the_answers_are_measured(evaluated: Demo, tmp_path: Path, question: str) -> None:
    from verl_vision_r1.data.parquet import write_rows
    from verl_vision_r1.evaluation.evaluate import evaluate

    lines = [answer for answer in _answers(evaluated) if answer["question"] == question]
    rows = [row for row in _rows(evaluated) if row["extra_info"]["question"] == question]
    write_rows(tmp_path / "rows.parquet", rows)
    (tmp_path / "0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (measured,) = evaluate(tmp_path / "0.jsonl", tmp_path / "rows.parquet", "plain").sets
    assert measured.coverage.complete
    assert len(measured.images) == len({row["extra_info"]["image_id"] for row in rows})
    # This protocol reads boxes as the reward did.
    said = sum(line["predicted_boxes"] for line in lines)
    assert measured.reading.boxes + measured.reading.unknown_labels == said


def test_every_box_has_a_log_probability(evaluated: Demo) -> None:
    found = [
        (answer["output"], answer["predicted_boxes"], json.loads(answer["box_log_probs"]))
        for answer in _answers(evaluated)
    ]
    assert sum(len(pairs) for _, _, pairs in found) > 0
    for text, boxes, pairs in found:
        assert len(pairs) == boxes
        assert all(text[place].isdigit() and mean < 0 for place, mean in pairs)


def test_nothing_is_trained_and_nothing_is_saved(evaluated: Demo) -> None:
    assert sorted(path.name for path in _folder(evaluated).iterdir()) == ["0.jsonl", "run.yaml"]
    left = {path.name for path in evaluated.folder.iterdir()}
    assert left <= {"source", "rows", "model", "evaluation", "hydra", "outputs"}
    assert not list(evaluated.folder.rglob("global_step_*"))
    assert not any(name.endswith(".pt") for _, _, files in os.walk(evaluated.folder) for name in files)
