"""`--ask points`: one question for each category, with outlines where COCO has polygons, and boxes elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_sets import (
    HEIGHT,
    WIDTH,
    all_of,
    box,
    coco_document,
    rows,
    taken,
    targets,
    write_coco,
    write_image,
    write_lines,
)
from typer.testing import CliRunner

from verl_vision_r1 import Target, load_preset, score
from verl_vision_r1.cli import app
from verl_vision_r1.data.view import COLOURS, Picture, caption, draw
from verl_vision_r1.rewards.forms import correct_completion, rounded_boxes

TRIANGLE = [2, 2, 12, 2, 2, 22]
RLE = {"counts": [1, 2, 3], "size": [HEIGHT, WIDTH]}


def one(out: Path) -> dict[str, Any]:
    (row,) = rows(out)
    found: dict[str, Any] = json.loads(row["reward_model"]["ground_truth"])
    assert row["extra_info"]["question"] == "points"
    assert row["ability"] == "pointing"
    return found


def test_outlines_are_kept_and_clipped(tmp_path: Path) -> None:
    polygons = [[*TRIANGLE[:5], 22.126], [30, 10, 40.4, 10, 35, 29]]
    dogs = [box(0, 7, 2, 2, 38, 27, segmentation=polygons), box(0, 7, 20, 2, 10, 20, segmentation=RLE)]
    all_of(write_coco(tmp_path / "in", coco_document(dogs)), tmp_path / "out", ask="points")
    found = one(tmp_path / "out")
    assert found["outlines"] == [[[2, 2, 12, 2, 2, 22.13], [30, 10, 40, 10, 35, 29]], []]
    assert (found["task"], found["labels"], found["categories"]) == ("pointing", ["dog", "dog"], ["dog"])
    (row,) = rows(tmp_path / "out")
    assert row["prompt"][0]["content"].startswith("<image>Point to every dog in the image")


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        RLE,
        "abc",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, "x", 5, 6]],
        [[1, 2, 3, 1e300, 5, 6]],
        [7],
    ],
)
def test_what_is_no_polygon_leaves_the_box(tmp_path: Path, segmentation: Any) -> None:
    dogs = [box(0, 7, 2, 2, 10, 20, segmentation=segmentation)]
    all_of(write_coco(tmp_path / "in", coco_document(dogs)), tmp_path / "out", ask="points")
    assert "outlines" not in one(tmp_path / "out")


def test_an_outline_too_thin_to_point_to_leaves_the_box(tmp_path: Path) -> None:
    dogs = [box(0, 7, 2, 2, 10, 20, segmentation=[[2, 2, 12, 2.01, 12, 2.02, 11.99, 22, 11.98, 22, 11.97, 2.02]])]
    all_of(write_coco(tmp_path / "in", coco_document(dogs)), tmp_path / "out", ask="points")
    assert "outlines" not in one(tmp_path / "out")


def test_categories_with_crowds_are_not_asked_for(tmp_path: Path) -> None:
    annotations = [
        box(0, 7, 2, 2, 10, 20, segmentation=[TRIANGLE]),
        box(0, 7, 12, 2, 10, 20, iscrowd=1, segmentation=RLE),
        box(0, 3, 2, 2, 10, 20, segmentation=[TRIANGLE]),
    ]
    all_of(write_coco(tmp_path / "in", coco_document(annotations)), tmp_path / "out", ask="points")
    assert one(tmp_path / "out")["labels"] == ["cat"]


def test_outlines_are_for_pointing_only(tmp_path: Path) -> None:
    dogs = [box(0, 7, 2, 2, 10, 20, segmentation=[TRIANGLE])]
    source = write_coco(tmp_path / "in", coco_document(dogs))
    all_of(source, tmp_path / "out", ask="category")
    assert "outlines" not in targets(tmp_path / "out")["000"]


def test_negative_samples_ask_for_a_category_that_is_absent(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "in", coco_document())
    all_of(source, tmp_path / "out", ask="points", negatives=1.0)
    found = [json.loads(row["reward_model"]["ground_truth"]) for row in rows(tmp_path / "out")]
    assert {(entry["task"], *entry["categories"], len(entry["boxes"])) for entry in found} == {
        ("pointing", "dog", 1),
        ("pointing", "cat", 0),
    }


def test_custom_lines_of_points(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.jpg")
    line = {"image": "a.jpg", "task": "pointing", "label": "dog", "boxes": [[2, 2, 12, 22]], "outlines": [[TRIANGLE]]}
    write_lines(tmp_path / "in" / "own.jsonl", line)
    taken(tmp_path / "in", tmp_path / "out", "jsonl", val_fraction=1)
    assert one(tmp_path / "out")["outlines"] == [[TRIANGLE]]
    write_lines(tmp_path / "in" / "own.jsonl", {**line, "outlines": [[TRIANGLE[:4]]]})
    with pytest.raises(ValueError, match=r"line 1: ground_truth.outlines: expected at least three vertices"):
        taken(tmp_path / "in", tmp_path / "out", "jsonl", val_fraction=1)


def test_the_correct_completion_has_the_maximum(tmp_path: Path) -> None:
    """Also of an outline whose box has its centre outside."""
    hook = [0, 0, 40, 0, 40, 30, 36, 30, 36, 4, 0, 4]
    dogs = [box(0, 7, 0, 0, 40, 30, segmentation=[hook]), box(0, 7, 3, 7, 10, 20)]
    all_of(write_coco(tmp_path / "in", coco_document(dogs)), tmp_path / "out", ask="points")
    target = Target.from_json(json.dumps(one(tmp_path / "out")))
    for preset in ("vision_r1", "robust"):
        parser = load_preset(preset).tasks["pointing"].parser
        text = correct_completion(target, parser, rounded_boxes(target, (1000.0, 1000.0)))
        assert text is not None
        scores = score(text, target, preset, frame=(1000.0, 1000.0))
        assert scores.acc == scores.parts["format"] == 1.0
        assert scores.parts["nearness"] > 0.95


def test_outlines_and_points_are_drawn(tmp_path: Path) -> None:
    dogs = [box(0, 7, 2, 2, 10, 20, segmentation=[TRIANGLE])]
    all_of(write_coco(tmp_path / "in", coco_document(dogs)), tmp_path / "out", ask="points")
    (row,) = rows(tmp_path / "out")
    picture = Picture(row, Target.from_json(row["reward_model"]["ground_truth"]))
    drawn = draw(picture)
    scale = drawn.width / WIDTH
    colour = tuple(int(COLOURS[0][start : start + 2], 16) for start in (1, 3, 5))
    middle = (picture.target.regions.middles()[0][0] * scale).round().astype(int).tolist()
    assert drawn.getpixel(tuple(middle)) == colour
    # The middle of the triangle's long side, which no side of the box crosses.
    side = (round(7 * scale), round(12 * scale))
    assert colour in [drawn.getpixel((side[0] + dx, side[1])) for dx in (-2, -1, 0, 1, 2)]
    assert caption(picture).endswith("dog -> 1 point")


def test_the_command(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "in", coco_document())
    done = CliRunner().invoke(
        app, ["prepare", "coco", "--source", str(source), "--out", str(tmp_path / "out"), "--ask", "points"]
    )
    assert done.exit_code == 0, done.output
    assert rows(tmp_path / "out", "train")[0]["ability"] == "pointing"
