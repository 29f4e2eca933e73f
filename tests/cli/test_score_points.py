"""`vision-r1 score` explains and draws points."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.evaluation.presentation.gallery import GROUND_TRUTH_COLOUR, PREDICTION_COLOUR

TARGET = Target(
    [[100, 80, 340, 360], [420, 110, 560, 290]],
    ["cat", "dog"],
    width=1000,
    height=600,
    categories=("cat", "dog"),
    task="pointing",
    outlines=[[], [[420, 110, 560, 110, 420, 290]]],  # type: ignore[arg-type]
)
POINTS = [((220, 220), "cat"), ((550, 280), "dog"), ((900, 500), "dog")]
TEXT = json.dumps([{"point_2d": place, "label": label} for place, label in POINTS])


def score(*more: str) -> str:
    done = CliRunner().invoke(app, ["score", TEXT, "--target", TARGET.to_json(), "--preset", "robust", *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_each_point_is_explained() -> None:
    printed = " ".join(score().split())
    for part in ("pointing, frame 1000x600", "label and x y", "220 220", "mean nearness 1.000", "this point"):
        assert part in printed
    assert "- no point was matched to object 2 (dog)" in printed
    found = json.loads(score("--json"))
    assert [item["reason"] for item in found["predictions"]] == [
        "hits object 1 (cat), nearness 1.00: credit 1.00",
        "inside no object; inside the box of object 2 (dog), outside its outline",
        "inside no object; 399.6 pixels from object 2 (dog)",
    ]
    assert found["predictions"][0]["box"] == [220, 220, 220, 220]


def test_points_and_outlines_are_drawn(tmp_path: Path) -> None:
    score("--draw", str(tmp_path / "drawn.png"))
    pixels = np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB")).astype(int)
    colours = [tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5)) for colour in (
        GROUND_TRUTH_COLOUR, PREDICTION_COLOUR)]  # fmt: skip
    green, orange = ((np.abs(pixels - colour) < 30).all(axis=2) for colour in colours)
    assert orange[216:219, 220].all()  # A hit is a dot.
    assert orange[500, 900]  # A miss is a cross.
    assert not orange[495:497, 900].any()
    assert green[198:203, 488:493].any()  # The long side of the outline.
