"""Format, recall and precision: values computed by hand."""

import pytest

from verl_vision_r1 import Target, score
from verl_vision_r1.rewards.refinement import OFF, Stage

BEGINNER, ADVANCED = Stage(0.5, 0.5, 0.75), Stage(0.75, 0.75, 0.9)
ONE = Target([[100, 100, 300, 300]], ["cat"], width=1000, height=1000)
NEGATIVE = Target([], [], width=1000, height=1000)


def answer(*boxes: tuple[float, ...]) -> str:
    return "[" + ", ".join(f'{{"bbox_2d": {list(box)}, "label": "cat"}}' for box in boxes) + "]"


def parts(text: str, target: Target, stage: Stage) -> tuple[float, float, float]:
    found = score(text, target, stage=stage).parts
    return found["format"], found["recall"], found["precision"]


@pytest.mark.parametrize(
    ("y2", "off", "beginner", "advanced"),
    [
        (300, (1, 1), (1, 1), (1, 1)),  # IoU 1
        (280, (1, 0.9), (1, 1), (1, 1)),  # 0.9 equals xi2, which counts.
        (270, (1, 0.85), (1, 1), (1, 0.85)),
        (250, (1, 0.75), (1, 1), (1, 0.75)),
        (220, (1, 0.6), (1, 0.6), (0, 0)),
        (200, (1, 0.5), (1, 0.5), (0, 0)),
        (198, (0, 0.49), (0, 0), (0, 0)),
    ],
)
def test_one_box(
    y2: int, off: tuple[float, float], beginner: tuple[float, float], advanced: tuple[float, float]
) -> None:
    text = answer((100, 100, 300, y2))
    for stage, expected in ((OFF, off), (BEGINNER, beginner), (ADVANCED, advanced)):
        assert parts(text, ONE, stage) == pytest.approx((1, *expected))


def test_a_surplus_box_lowers_precision() -> None:
    surplus = answer((100, 100, 300, 300), *[(600 + n, 600, 700 + n, 700) for n in range(9)])
    assert parts(surplus, ONE, BEGINNER) == pytest.approx((1, 1, 0.1))
    assert parts(answer(*[(100, 100, 300, 300)] * 5), ONE, BEGINNER) == pytest.approx((1, 1, 0.2))


@pytest.mark.parametrize(
    ("found", "off", "beginner", "advanced"),
    [(4, 0.4, 0, 0), (5, 0.5, 0.5, 0), (7, 0.7, 0.7, 0), (8, 0.8, 1, 0.8), (9, 0.9, 1, 1), (10, 1, 1, 1)],
)
def test_recall_is_refined_once_for_the_completion(found: int, off: float, beginner: float, advanced: float) -> None:
    boxes = [(100.0 * n, 0, 100.0 * n + 50, 50) for n in range(10)]
    target = Target(boxes, ["cat"] * 10, width=1000, height=1000)
    for stage, expected in ((OFF, off), (BEGINNER, beginner), (ADVANCED, advanced)):
        assert parts(answer(*boxes[:found]), target, stage) == pytest.approx((1, expected, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", (1, 1, 1)),
        ("```json\n[]\n```", (1, 1, 1)),
        ("There is no cat.", (0, 1, 1)),
        ("[42]", (0, 1, 1)),  # A list without a box.
        (answer((1, 1, 9, 9)), (1, 0, 0)),
    ],
)
def test_a_negative_sample(text: str, expected: tuple[float, float, float]) -> None:
    for stage in (OFF, BEGINNER, ADVANCED):
        assert parts(text, NEGATIVE, stage) == expected


@pytest.mark.parametrize(("text", "well_formed"), [("[]", 1), ("", 0), ("42", 0)])
def test_an_empty_prediction_for_a_sample_with_objects(text: str, well_formed: float) -> None:
    assert parts(text, ONE, BEGINNER) == (well_formed, 0, 0)


def test_boxes_are_compared_in_original_pixels() -> None:
    text = answer((36, 36, 109, 109))
    seen = score(text, ONE, frame=(364, 364)).mean_iou
    assert seen > 0.97
    assert score(text, ONE, frame=(1000, 1000)).mean_iou < 0.1
