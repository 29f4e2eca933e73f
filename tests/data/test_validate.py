"""`validate` counts every defect by kind and names its file and row; it also counts the contents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.validate import validate

BOX = [1.0, 2.0, 30.0, 20.0]


def row(folder: Path, **fields: Any) -> dict[str, Any]:
    target = {
        "task": "detection",
        "boxes": [BOX],
        "labels": ["cat"],
        "categories": ["cat", "dog"],
        "width": 40,
        "height": 30,
    }
    return {
        "data_source": "pets/detection",
        "prompt": [{"role": "user", "content": "<image>Find."}],
        "images": [{"image": str(folder / "1.jpg"), "min_pixels": 3136, "max_pixels": 401408}],
        "ability": "detection",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(target | fields)},
        "extra_info": {"split": "train", "index": 0, "image_id": "1"},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    Image.new("RGB", (40, 30)).save(tmp_path / "1.jpg")

    def lines(*rows: dict[str, Any]) -> Path:
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
        return tmp_path

    return lines


def kinds(folder: Path, **options: Any) -> dict[str, int]:
    found: dict[str, int] = validate(folder, **options).as_dict()["defects"]
    return found


def test_good_samples_are_counted(write: Callable[..., Path], tmp_path: Path) -> None:
    negative = row(tmp_path, boxes=[], labels=[])
    report = validate(write(row(tmp_path), row(tmp_path, boxes=[BOX, [5, 5, 9, 9]], labels=["cat", "dog"]), negative))
    assert report.defects == []
    assert list(report.samples.values()) == list(report.as_dict()["samples"].values()) == [3]
    assert (report.classes, report.negatives) == ({"cat": 2, "dog": 1}, 1)
    assert report.boxes_per_sample == {0: 1, 1: 1, 2: 1}
    assert report.box_sizes == {"small": 3}
    assert report.image_sizes == {"40x30": 3}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"boxes": [[1, 2, 50, 20]]}, {"box outside the image": 1}),
        ({"boxes": [[30, 2, 1, 20]]}, {"box inverted": 1}),
        ({"boxes": [[1, 2, 1, 20]]}, {"box without area": 1}),
        ({"boxes": [[1, 2, float("nan"), 20]]}, {"box not finite": 1}),
        ({"boxes": [BOX, BOX], "labels": ["cat", "cat"]}, {"duplicate box": 1}),
        ({"boxes": [BOX, BOX], "labels": ["cat", "dog"]}, {}),
        ({"labels": ["horse"]}, {"label not among the categories": 1}),
        ({"labels": ["cat"], "categories": ["cat", "Cat"]}, {"categories alike": 1}),
        ({"width": 10**400}, {"sample": 1}),
        ({"labels": [["cat"]]}, {"label not among the categories": 1}),
        ({"labels": []}, {"sample": 1}),
        ({"task": "dance"}, {"sample": 1}),
        ({"boxes": "none"}, {"sample": 1}),
        ({"boxes": [[30, 2, 1, 20], [1, 2, 1, 20], [1, 2, 50, 20]], "labels": ["cat"] * 3}, {
            **{"box inverted": 1, "box without area": 1, "box outside the image": 1}
        }),
        ({"width": 41}, {"image size": 1}),
    ],
)  # fmt: skip
def test_defects_of_the_ground_truth(
    write: Callable[..., Path], tmp_path: Path, fields: dict[str, Any], expected: dict[str, int]
) -> None:
    folder = write(row(tmp_path), row(tmp_path, **fields))
    assert kinds(folder) == expected
    assert all("train.jsonl" in message for _, message in validate(folder).defects)


def test_a_defect_of_an_image_counts_for_every_sample_about_it(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(row(tmp_path), row(tmp_path))
    (tmp_path / "1.jpg").write_text("no image")
    assert kinds(folder) == {"image undecodable": 2}
    assert kinds(folder, image_check="none") == {}
    (tmp_path / "1.jpg").unlink()
    assert kinds(folder, image_check="header") == {"image missing": 2}


@pytest.mark.parametrize(("count", "expected"), [(1, {}), (3, {"boxes in another unit": 1})])
def test_boxes_below_a_pixel_are_a_defect_if_they_are_most(
    write: Callable[..., Path], tmp_path: Path, count: int, expected: dict[str, int]
) -> None:
    fractions = [row(tmp_path, boxes=[[0.1, 0.2, 0.4, 0.5]]) for _ in range(count)]
    folder = write(*fractions, row(tmp_path), row(tmp_path))
    assert kinds(folder) == expected
    messages = [message for _, message in validate(folder).defects]
    assert all("0.3x0.3 if these are pixels, 12x9 if they are fractions of the image" in text for text in messages)


def test_categories_asked_about_one_image_are_compared(write: Callable[..., Path], tmp_path: Path) -> None:
    one, other = (row(tmp_path, labels=[name], categories=[name]) for name in ("traffic light", "Traffic_light"))
    other["extra_info"]["image_id"] = "2"
    assert kinds(write(one, other)) == {}
    other["extra_info"]["image_id"] = "1"
    assert kinds(write(one, other)) == {"categories alike": 1}


def test_labels_are_no_markup(write: Callable[..., Path], tmp_path: Path) -> None:
    name = "[/]x[bold]\x1b[31m"
    folder = write(row(tmp_path, labels=[name], categories=[name]), row(tmp_path, labels=["[/]"]))
    result = CliRunner().invoke(app, ["validate", str(folder)])
    assert result.exit_code == 1
    assert "[/]x[bold]\\x1b[31m" in result.stdout


def test_a_file_that_cannot_be_read_is_a_defect(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(row(tmp_path))
    (folder / "val.parquet").write_text("not parquet")
    (folder / "test.jsonl").write_text("{")
    assert kinds(folder) == {"file": 2}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected files that end in \.parquet or \.jsonl, got none"):
        validate(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="gone: expected a folder of samples, or one sample file, got no such"):
        validate(tmp_path / "gone")


def test_the_command_prints_tables_or_json_and_sets_the_exit_status(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write(row(tmp_path), row(tmp_path, labels=["horse"]))
    result = CliRunner().invoke(app, ["validate", str(folder)])
    assert result.exit_code == 1
    assert "label not among the categories: " in result.stdout
    result = CliRunner().invoke(app, ["validate", str(folder), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["defects"] == {"label not among the categories": 1}
    result = CliRunner().invoke(app, ["validate", str(write(row(tmp_path)))])
    assert result.exit_code == 0
    assert "no defects" in result.stdout


@pytest.mark.verl
def test_prompts_are_measured_with_the_real_processor(folder: Path) -> None:
    arguments = ["validate", str(folder / "train.parquet"), "--model", str(folder / "model"), "--json"]
    lengths = json.loads(CliRunner().invoke(app, arguments).stdout)["prompt_tokens"]
    assert sum(lengths.values()) == 9
    result = CliRunner().invoke(app, [*arguments, "--max-prompt-length", str(int(min(lengths, key=int)) - 1)])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["defects"] == {"prompt too long": 9}
