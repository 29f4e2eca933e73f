"""`vision-r1 predict` and `export`: what they print, and errors in one line."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from stand_in_engine import answering
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.demo.run import TAUGHT_MODEL

BOX = '[{"bbox_2d": [14, 28, 70, 84], "label": "cat"}, {"bbox_2d": [0, 0, 28, 28], "label": "tabby"}]'


def run(*arguments: object, text: str = BOX) -> Result:
    with answering(lambda *_: text):
        return CliRunner().invoke(app, ["predict", *map(str, arguments), "--model", str(TAUGHT_MODEL)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (280, 280)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_boxes_are_printed_in_pixels_of_the_image(photo: Path) -> None:
    result = run(photo, "--find", "cat, dog", "--max-pixels", 140 * 140)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{photo}: cat [28, 56, 140, 168]; tabby [0, 0, 56, 56]",
        "1 images, 2 boxes, 0 not parsed, 1 boxes with other labels",
    ]


def test_json_has_everything(photo: Path) -> None:
    (photo.parent / "bad.png").write_bytes(b"no image")
    result = run(photo.parent, "--find", "cat", "--skip-bad", "--json")
    printed = json.loads(result.stdout)
    (prediction,) = printed["predictions"]
    assert prediction["image"] == str(photo)
    assert prediction["boxes"] == [[14, 28, 70, 84], [0, 0, 28, 28]]
    assert (prediction["labels"], prediction["scores"]) == (["cat", "tabby"], [1, 1])
    assert (prediction["width"], prediction["parsed"], prediction["completions"]) == (280, True, [BOX])
    assert (printed["images"], printed["unknown"], printed["written"]) == (1, 1, [])
    assert [problem.split(":")[0] for problem in printed["skipped"]] == [str(photo.parent / "bad.png")]


def test_what_cannot_be_parsed_or_used_is_said(photo: Path) -> None:
    (photo.parent / "bad.png").write_bytes(b"no image")
    result = run(photo.parent, "--find", "cat", "--skip-bad", text="A \x1b[31mcat.")
    assert result.exit_code == 0
    first, second, last = result.stdout.splitlines()
    assert first == f"{photo}: not parsed: 'A \\x1b[31mcat.'"
    assert second.startswith(f"skipped: {photo.parent / 'bad.png'}: expected an image")
    assert last == "1 images, 0 boxes, 1 not parsed, 1 skipped"


def test_files_are_written(photo: Path) -> None:
    drawn, coco = photo.with_name("drawn.jpg"), photo.with_name("results.json")
    result = run(photo, "--find", "cat", "--draw", drawn, "--coco", coco)
    assert result.stdout.splitlines()[-1].endswith(f"; written: {drawn}, {coco}")
    assert Image.open(drawn).size == (640, 640)
    assert len(json.loads(coco.read_text())["annotations"]) == 1


def test_a_count_is_printed(photo: Path) -> None:
    result = run(photo, "--find", "cat", "--ask", "count", text="<think></think><answer>3</answer>")
    assert result.stdout.splitlines() == [f"{photo}: cat 3", "1 images, 0 boxes, 0 not parsed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--find: expected names, or --annotations with the categories to find, got neither"),
        (["--find", "cat", "--engine", "tgi"], "engine: expected transformers, vllm or the http address"),
        (["--find", "cat", "--predictions", "a.jsonl"], "--predictions: expected --annotations"),
        (["--find", "cat", "--preset", "robuster"], "vision_r1/reward: expected one of"),
    ],
)
def test_an_error_is_one_line(photo: Path, arguments: list[str], message: str) -> None:
    result = run(photo, *arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {message}")


def test_a_bad_image_is_an_error(photo: Path) -> None:
    photo.write_bytes(b"no image")
    result = run(photo, "--find", "cat")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {photo}: expected an image")


def test_no_server_is_an_error_in_one_line(photo: Path) -> None:
    arguments = ["--find", "cat", "--model", str(TAUGHT_MODEL), "--engine", "http://localhost:9/v1"]
    result = CliRunner().invoke(app, ["predict", str(photo), *arguments])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(
        "error: http://localhost:9/v1/models: expected a server, got none"
    )


def test_export_of_what_is_no_checkpoint_is_an_error_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "model")])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"error: {tmp_path}: expected a checkpoint that FSDP saved (actor/fsdp_config.json), got none"
    )
