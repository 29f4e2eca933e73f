"""A category list makes exactly its entries the samples, and an error in it is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.category_lists import read_category_list
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import Prepared, prepare
from verl_vision_r1.data.selection import Selection


def listed(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def asked(source: Path, out: Path, category_list: Path, **options: Any) -> Prepared:
    wanted = Source("coco", str(source), **{"ask": "category", "category_list": category_list, **options})
    return prepare([wanted], out, Writing(val_fraction=1))


def contents(path: Path) -> list[tuple[str, str, int]]:
    """Image, category and number of boxes of each sample."""
    rows = pq.read_table(path).to_pylist()
    facts = [(row["extra_info"], json.loads(row["reward_model"]["ground_truth"])) for row in rows]
    return sorted((extra["image_id"], extra["subject"], len(target["boxes"])) for extra, target in facts)


def test_an_image_is_named_by_its_id_or_its_file(tmp_path: Path) -> None:
    content = {"000": ["cat"], "train/001.jpg": [], "002.PNG": ["dog", "cat"], "v1.5": ["cat"]}
    found = read_category_list(listed(tmp_path / "list.json", content))
    assert found == {"000": ["cat"], "train/001": [], "002": ["dog", "cat"], "v1.5": ["cat"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "got a file that is not JSON"),
        ([["000", ["cat"]]], r"expected JSON {image: \[category, ...\]}, got \[\['000', \['cat'\]\]\]"),
        ({}, r"got \{\}"),
        ({"000": "cat"}, "got 'cat' for '000'"),
        ({"000": {"cat": 1}}, r"got \{'cat': 1\} for '000'"),
        ({"000": ["cat", 7]}, r"got \['cat', 7\] for '000'"),
        ({"000": ["cat", "dog", "cat"]}, "expected each category once for '000', got 'cat' again"),
        ({"000": ["cat"], "000.jpg": ["dog"]}, "expected each image once, got '000' again"),
        ('{"000": ["cat"], "000": ["dog"]}', "expected each image once, got '000' again"),
    ],
)
def test_another_file_is_rejected(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_category_list(listed(tmp_path / "list.json", content))
    assert str(caught.value).startswith(str(tmp_path / "list.json"))


def test_an_entry_is_a_sample_whether_or_not_the_category_is_there(coco: Callable[..., Path], tmp_path: Path) -> None:
    def crowd(document: Any) -> None:
        document["annotations"][2]["iscrowd"] = 1  # Without a list, its category is not asked about.
        del document["annotations"][4]

    category_list = listed(
        tmp_path / "list.json", {"000": ["cat", "dog"], "001.jpg": [], "002": ["dog"], "004": ["cat"]}
    )
    prepared = asked(coco(crowd), tmp_path / "out", category_list)
    assert contents(tmp_path / "out" / "val.parquet") == [
        ("000", "cat", 0),
        ("000", "dog", 1),
        ("002", "dog", 0),
        ("004", "cat", 0),
    ]
    assert (prepared.samples, prepared.accounts[0].images) == ({"val": 4}, 5)
    assert prepared.accounts[0].left_out == {"not in the category list": 2}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["val.parquet"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"000": ["cat"], "005": ["dog"]}, "expected one of the 5 images of the split, got '005'"),
        ({"000": ["cat", "zebra"]}, "expected one of the 2 categories of '000', got 'zebra'"),
    ],
)
def test_an_entry_that_the_dataset_lacks_is_rejected(
    coco: Callable[..., Path], tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        asked(coco(), tmp_path / "out", listed(tmp_path / "list.json", content))
    assert str(tmp_path / "list.json") in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"ask": "categories"},
            "category_list: expected ask='category' with .*list.json, which lists .*, got 'categories'",
        ),
        ({"negatives": 0.5}, "expected no negatives, got 0.5"),
        ({"max_samples": 3}, "expected no max_samples, got 3"),
        ({"selection": Selection(max_images=3)}, "expected no selection, got .*max_images=3"),
    ],
)
def test_other_options_that_choose_samples_are_rejected(
    coco: Callable[..., Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        asked(coco(), tmp_path / "out", tmp_path / "list.json", **options)


def test_the_command_takes_the_list(coco: Callable[..., Path], tmp_path: Path) -> None:
    def run(*more: str) -> Result:
        command = ["prepare", "coco", "--source", str(source), "--out", str(tmp_path / "out"), *more]
        return CliRunner().invoke(app, command)

    source, category_list = coco(), listed(tmp_path / "list.json", {"000": ["cat"], "001": ["dog"]})
    done = run("--ask", "category", "--category-list", str(category_list), "--val-fraction", "1")
    assert done.exit_code == 0, done.stderr
    assert contents(tmp_path / "out" / "val.parquet") == [("000", "cat", 0), ("001", "dog", 1)]
    assert run("--category-list", str(category_list)).stderr.startswith(
        "error: category_list: expected ask='category'"
    )
    missing = run("--ask", "category", "--category-list", str(tmp_path / "gone.json"))
    assert (missing.exit_code, "gone.json" in missing.stderr) == (1, True)
