"""Samples go to ms-swift and EasyR1 and come back the same."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small_sets import all_of, box, coco_document, rows, taken, write_coco, write_lines
from typer.testing import CliRunner

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.data.convert import convert


@pytest.fixture(params=["categories", "category", "referring", "class", "count"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Prepared samples of each question."""
    boxes = [*(box(index, 7, 1.5, 2, 10, 20.25) for index in range(4)), box(0, 7, 30, 3, 5, 5), box(1, 3, 20, 3, 9, 9)]
    folder = write_coco(tmp_path / "coco", coco_document(boxes))
    taken(folder, tmp_path / "data", ask=request.param, val_fraction=1)
    return tmp_path / "data" / "val.parquet"


def content(out: Path) -> list[tuple[str, str, str]]:
    """Image, prompt and ground truth of every sample."""
    read = [(row["images"][0]["image"], row["prompt"][0]["content"], row["reward_model"]) for row in rows(out)]
    return sorted((image, prompt, truth["ground_truth"]) for image, prompt, truth in read)


@pytest.mark.parametrize("to", ["swift", "easyr1"])
def test_samples_come_back_the_same(source: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "there" / "samples.jsonl"
    assert convert(source, to, out) == len(rows(source.parent))
    all_of("", tmp_path / "back", to, annotations=out, images=tmp_path / "coco")
    assert content(tmp_path / "back") == content(source.parent)


def test_the_objects_of_ms_swift_alone_have_all_boxes(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples.jsonl"
    convert(source, "swift", out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for line in lines:
        del line["solution"]
    write_lines(out, *lines)
    all_of("", tmp_path / "back", "swift", annotations=out, images=tmp_path / "coco")

    def facts(truth: str) -> Any:
        target = Target.from_json(truth)
        return target.boxes.tolist(), target.labels, target.count

    pairs = zip(content(tmp_path / "back"), content(source.parent), strict=True)
    assert all(back[:2] == there[:2] and facts(back[2]) == facts(there[2]) for back, there in pairs)


def test_the_form_of_ms_swift(tmp_path: Path) -> None:
    taken(write_coco(tmp_path / "coco", coco_document()), tmp_path / "data", val_fraction=1)
    convert(tmp_path / "data", "swift", tmp_path / "a.jsonl")
    line = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    user, assistant = line["messages"]
    assert (user["role"], user["content"].count("<image>"), len(line["images"])) == ("user", 1, 1)
    assert assistant == {"role": "assistant", "content": '[{"bbox_2d": <bbox>, "label": "<ref-object>"}]'}
    assert line["objects"] == {"ref": ["dog"], "bbox": [[1.5, 2.0, 11.5, 22.25]], "bbox_type": "real"}


def test_easyr1_may_embed_its_images(source: Path, tmp_path: Path) -> None:
    convert(source, "easyr1", tmp_path / "a.parquet")
    (row, *_) = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert sorted(row) == ["answer", "images", "problem"]
    assert row["images"][0]["bytes"][:2] == b"\xff\xd8"
    all_of(tmp_path / "a.parquet", tmp_path / "back", "easyr1")
    assert [found[1:] for found in content(tmp_path / "back")]
    assert {found[1:] for found in content(tmp_path / "back")} == {found[1:] for found in content(source.parent)}


def test_the_command_says_what_it_wrote(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    result = CliRunner().invoke(app, ["convert", str(source), "--to", "swift", "--out", str(out)])
    assert (result.exit_code, result.stdout) == (0, f"{out}: {len(rows(source.parent))} samples\n")


def test_what_cannot_be_converted_is_named(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "coco", coco_document())
    taken(folder, tmp_path / "both")
    taken(folder, tmp_path / "embedded", embed=True, val_fraction=1)
    for arguments, message in (
        ((tmp_path / "both", "swift", tmp_path / "a.jsonl"), r"expected one file of samples, got train\.parquet, val"),
        (
            (tmp_path / "embedded", "swift", tmp_path / "a.jsonl"),
            "expected samples that name their images",
        ),
        ((tmp_path / "embedded", "trl", tmp_path / "a.jsonl"), "to: expected one of swift, easyr1, got 'trl'"),
        (
            (tmp_path / "embedded", "swift", tmp_path / "a.parquet"),
            r"expected a file that ends in \.jsonl, got",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            convert(*arguments)
    assert not (tmp_path / "a.jsonl").exists()


def test_points_go_to_easyr1_alone(tmp_path: Path) -> None:
    folder = write_coco(
        tmp_path / "coco", coco_document([box(0, 7, 2, 2, 10, 20, segmentation=[[2, 2, 12, 2, 2, 22]])])
    )
    taken(folder, tmp_path / "data", ask="points", val_fraction=1)
    samples = tmp_path / "data" / "val.parquet"
    with pytest.raises(ValueError, match="coco/pointing: expected samples with boxes, classes or counts, got points"):
        convert(samples, "swift", tmp_path / "swift.jsonl")
    convert(samples, "easyr1", tmp_path / "easyr1.jsonl")
    (line,) = (tmp_path / "easyr1.jsonl").read_text().splitlines()
    assert len(Target.from_json(json.loads(line)["answer"]).outlines[0][0]) == 3
