"""The scenes, the initial model's habit, the command and the result of the demo."""

import json
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from finished_demo import finished
from PIL import Image
from rich.console import Console

from verl_vision_r1 import Target, score
from verl_vision_r1.boxes import pairwise_iou
from verl_vision_r1.data.prepare import Prepared
from verl_vision_r1.demo import run
from verl_vision_r1.demo.lessons import ANSWERS, Habit, draw_question
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.result import read_curves, show_result
from verl_vision_r1.demo.shapes import COLOURS, NAMES, SIDE, draw_scene, write_shapes
from verl_vision_r1.demo.validation_table import SHOWN, read_validations, show_table


def test_the_command_is_that_of_verl(tmp_path: Path) -> None:
    demo = Demo(tmp_path, steps=7)
    command = demo.command()
    assert command[1:4] == ["-m", "verl.trainer.main_ppo", "+recipe=vision_r1_cpu"]
    assert "trainer.total_training_steps=7" in command
    assert demo.environment("/short")["VERL_PLATFORM"] == "cpu"


@pytest.mark.parametrize("name", ["[/]x", "a b", "it's", "{1}", "a=b,c", "50%", "a(1)"])
def test_hydra_reads_any_folder(name: str) -> None:
    parser = pytest.importorskip("hydra.core.override_parser.overrides_parser").OverridesParser.create()
    command = Demo(Path("/out") / name, steps=7).command()
    values = {item.key_or_group: item.value() for item in map(parser.parse_override, command[3:])}
    assert values["trainer.validation_data_dir"] == f"/out/{name}/validation"
    assert values["data.train_files"] == f"/out/{name}/rows/train.parquet"


def test_the_table_compares_the_first_validation_with_the_last(tmp_path: Path) -> None:
    names = ("total", "format", "recall", "precision", "mean_iou", "predicted_boxes", "target_boxes")
    entries = [
        {"step": 0, "data": {f"val-aux/a/detection/{name}/mean@1": 0.25 for name in names}},
        {"step": 1, "data": {"actor/kl_loss": 0.1}},
        {"step": 2, "data": {f"val-aux/a/detection/{name}/mean@1": 0.75 for name in names}},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in entries))
    assert sorted(read_validations(path)) == [0, 2]
    assert read_validations(path)[2]["recall"] == 0.75
    output = StringIO()
    show_table(path, "title", Console(file=output, width=100))
    assert "+0.500" in output.getvalue()


def test_shapes_are_drawn_where_they_are_annotated(tmp_path: Path) -> None:
    first, second = (write_shapes(tmp_path / name, "train", 12) for name in "ab")
    text = (first / "annotations" / "instances_train.json").read_text()
    assert text == (second / "annotations" / "instances_train.json").read_text()  # Seeded.
    document = json.loads(text)
    assert len(document["annotations"]) >= 12
    names = {category["id"]: category["name"] for category in document["categories"]}
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        picture = Image.open(first / "images" / "train" / f"{annotation['image_id']:04d}.png")
        assert 0 <= x < x + width <= SIDE
        middle = picture.getpixel((int(x + width / 2), int(y + height / 2)))
        assert middle == COLOURS[names[annotation["category_id"]].split()[0]]
        # The shape touches the edges of the box.
        assert picture.getpixel((int(x + (width - 1) / 2), int(y))) == middle
        assert picture.getpixel((int(x + width / 2), int(y + height - 1))) == middle


def test_held_out_scenes_differ_from_training_scenes(tmp_path: Path) -> None:
    documents = []
    for part in ("train", "val"):
        write_shapes(tmp_path, part, 12)
        documents.append((tmp_path / "annotations" / f"instances_{part}.json").read_text())
    assert documents[0] != documents[1]


def test_boxes_are_sorted_from_left_to_right() -> None:
    generator = np.random.default_rng(0)
    counts: Counter[int] = Counter()
    for _ in range(100):
        _, target = draw_scene(generator)
        assert (np.diff(target.boxes[:, 0]) >= 0).all()
        assert target.categories == NAMES
        counts[len(target.boxes)] += 1
    assert set(counts) == {1, 2, 3, 4}


def test_the_habit_is_one_object_in_a_box_that_is_too_large() -> None:
    target = Target([[50, 50, 100, 100], [110, 10, 138, 38]], ["red circle", "blue square"], width=140, height=140)
    habit = Habit(fraction=1.0).of(target, np.random.default_rng(0))
    assert habit.boxes.tolist() == [[40, 40, 110, 110]]
    assert habit.labels == ("red circle",)
    assert pairwise_iou(habit.boxes, target.boxes)[0, 0] == pytest.approx(2500 / 4900)
    assert Habit(fraction=0.0).of(target, np.random.default_rng(0)) is target
    generator = np.random.default_rng(0)
    changed = sum(len(Habit(fraction=0.7).of(target, generator).boxes) == 1 for _ in range(1000))
    assert 650 < changed < 750


@pytest.mark.parametrize(
    ("prompt", "preset", "total"),
    # Visual-RFT adds the confidence of a correct box.
    [("vision_r1", "robust", 1.0), ("vlm_r1", "vlm_r1_od_ap", 1.0), ("visual_rft", "visual_rft", 2.9)],
)
def test_a_correct_completion_scores_the_maximum_of_its_preset(prompt: str, preset: str, total: float) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        _, question, target = draw_question(generator, prompt)
        assert target.labels[0] in question
        assert score(ANSWERS[prompt](target), target, preset, frame=(SIDE, SIDE)).total == pytest.approx(total)


def test_the_result_is_evaluated_and_drawn(tmp_path: Path) -> None:
    demo, output = finished(tmp_path), StringIO()
    result = show_result(demo, Console(file=output, width=100))
    printed = output.getvalue()
    assert "shapes/detection: change" in printed
    assert next(line for line in printed.splitlines() if line.startswith("│ AP ")).split()[3:8:2] == [
        "0.0",
        "90.0",
        "+90.0",
    ]
    pictures = [Path(path) for path in result["pictures"]]
    assert [path.name for path in pictures] == ["before_after.jpg", "curves.png"]
    assert all(path.stat().st_size > 1000 for path in pictures)
    assert (result["before"]["AP"], result["after"]["AP"]) == (0.0, pytest.approx(0.9))


def test_a_folder_may_be_named_like_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, output = tmp_path / "[" / "]x[bold]", StringIO()
    folder.mkdir(parents=True)
    prepared = Prepared({"train": 2, "val": 1}, (), 0)
    metrics = [
        {"step": step, "data": {f"val-aux/a/detection/{name}/mean@1": 0.25 for name in SHOWN}} for step in (0, 1)
    ]

    def trained(demo: Demo, command: object) -> Iterator[str]:
        demo.metrics.write_text("\n".join(map(json.dumps, metrics)))
        yield "[/]x Training Progress"

    monkeypatch.setattr(run, "check_engine", lambda: None)
    monkeypatch.setattr(run, "prepare_shapes", lambda folder, seed: prepared)
    monkeypatch.setattr(run, "train", trained)
    monkeypatch.setattr(run, "read_line", lambda line: (line, 1))
    monkeypatch.setattr(run, "show_result", lambda demo, console: {"pictures": [str(folder / "a.png")]})
    run.run_demo(Demo(folder, steps=1), None, Console(file=output, width=400))
    for line in ("]x[bold]: 2 training and 1", f"drawn: {folder}/a.png", "training: [/]x", "]x[bold]: validation"):
        assert line in output.getvalue()


def test_curves_have_training_steps_only(tmp_path: Path) -> None:
    curves = read_curves(finished(tmp_path).metrics)
    assert curves == {"recall": [(1, 0.25), (2, 0.5)], "total": [(1, 0.25), (2, 0.5)]}
