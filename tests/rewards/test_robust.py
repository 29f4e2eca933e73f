"""What `robust` promises, for any scene and any answer."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from verl_vision_r1 import Scores, Target, load_curriculum, load_preset, score
from verl_vision_r1.rewards.refinement import OFF, Stage, credit

ROBUST = load_preset("robust")
STAGES = [OFF, *load_curriculum("halfway").stages]
WIDTH, HEIGHT = 100, 80
LABELS = ("cat", "dog")

stages = st.sampled_from(STAGES)


@st.composite
def boxes(draw: Any) -> list[float]:
    """A box within the frame; quarters of a pixel, so that borders and equal boxes do occur."""
    x1, y1 = draw(st.integers(0, 4 * WIDTH - 4)) / 4, draw(st.integers(0, 4 * HEIGHT - 4)) / 4
    x2 = draw(st.integers(int(4 * x1) + 1, 4 * WIDTH)) / 4
    return [x1, y1, x2, draw(st.integers(int(4 * y1) + 1, 4 * HEIGHT)) / 4]


@st.composite
def near(draw: Any, box: list[float]) -> list[float]:
    """A box not far from another one."""
    moved = np.array(box) + draw(st.lists(st.floats(-6, 6), min_size=4, max_size=4))
    moved = np.clip(moved, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    assume(moved[0] < moved[2] and moved[1] < moved[3])
    return list(map(float, moved))


@st.composite
def scenes(draw: Any) -> tuple[Target, list[dict[str, Any]]]:
    """A target, and predictions of which most are near an object."""
    items = draw(st.lists(st.tuples(boxes(), st.sampled_from(LABELS)), max_size=5))
    target = Target([box for box, _ in items], [label for _, label in items], WIDTH, HEIGHT, LABELS)
    predicted = []
    for _ in range(draw(st.integers(0, 6))):
        if items and draw(st.booleans()):
            box, label = draw(st.sampled_from(items))
            predicted.append({"bbox_2d": draw(near(box)), "label": label})
        else:
            predicted.append({"bbox_2d": draw(boxes()), "label": draw(st.sampled_from(LABELS))})
    return target, predicted


def paid(items: list[dict[str, Any]], target: Target, stage: Stage) -> Scores:
    return score(json.dumps(items), target, ROBUST, stage=stage)


@given(scene=scenes(), stage=stages)
def test_everything_is_within_range(scene: tuple[Target, Any], stage: Stage) -> None:
    scores = paid(scene[1], scene[0], stage)
    values = [scores.total, *scores.parts.values(), *scores.raw.values()]
    assert all(0 <= value <= 1 + 1e-9 for value in values)


@given(scene=scenes(), stage=stages)
def test_the_truth_earns_everything(scene: tuple[Target, Any], stage: Stage) -> None:
    target = scene[0]
    items = [{"bbox_2d": box, "label": label} for box, label in zip(target.boxes.tolist(), target.labels, strict=True)]
    assert paid(items, target, stage).total == pytest.approx(1.0)


@given(scene=scenes(), stage=stages, order=st.randoms(use_true_random=False))
def test_the_order_means_nothing(scene: tuple[Target, Any], stage: Stage, order: Any) -> None:
    target, items = scene
    first, second = paid(items, target, stage), paid(order.sample(items, len(items)), target, stage)
    assert second.parts == pytest.approx(first.parts)
    assert second.raw == pytest.approx(first.raw)
    assert second.mean_iou == pytest.approx(first.mean_iou)


@given(scene=scenes(), stage=stages, data=st.data())
def test_a_box_moved_towards_its_object_is_never_worth_less(
    scene: tuple[Target, Any], stage: Stage, data: st.DataObject
) -> None:
    target, items = scene
    match = ROBUST.tasks["detection"].matcher(
        ROBUST.tasks["detection"].answer(json.dumps(items), (WIDTH, HEIGHT)), target, stage
    )
    assume(len(match.iou))
    pair = data.draw(st.integers(0, len(match.iou) - 1))
    row, column = int(match.predicted[pair]), int(match.target[pair])
    way = data.draw(st.floats(0, 1))
    moved = (1 - way) * np.array(items[row]["bbox_2d"]) + way * target.boxes[column]
    changed = [*items]
    changed[row] = {**items[row], "bbox_2d": moved.tolist()}
    assert paid(changed, target, stage).total >= paid(items, target, stage).total - 1e-8


@given(scene=scenes(), stage=stages, label=st.sampled_from([*LABELS, "bird", ""]), place=st.integers(0, 6))
def test_a_junk_box_never_earns(scene: tuple[Target, Any], stage: Stage, label: str, place: int) -> None:
    """Junk overlaps no object: it lies below the scene, in the part of the image where there is none."""
    target, items = scene
    taller = Target(target.boxes, target.labels, WIDTH, HEIGHT + 20, LABELS)
    junk = {"bbox_2d": [10, HEIGHT + 1, 30, HEIGHT + 19], "label": label}
    changed = [*items[:place], junk, *items[place:]]
    assert paid(changed, taller, stage).total <= paid(items, taller, stage).total + 1e-9


@given(scene=scenes(), stage=stages)
def test_precision_and_recall_change_places_with_the_two_sides(scene: tuple[Target, Any], stage: Stage) -> None:
    target, items = scene
    assume(items and len(target.boxes))
    swapped = Target([item["bbox_2d"] for item in items], [item["label"] for item in items], WIDTH, HEIGHT, LABELS)
    truth = [{"bbox_2d": box, "label": label} for box, label in zip(target.boxes.tolist(), target.labels, strict=True)]
    one, other = paid(items, target, stage).parts, paid(truth, swapped, stage).parts
    assert (one["recall"], one["precision"], one["f1"]) == pytest.approx(
        (other["precision"], other["recall"], other["f1"]), abs=1e-8
    )


@given(scene=scenes(), stage=stages)
def test_the_total_is_what_the_documentation_says(scene: tuple[Target, Any], stage: Stage) -> None:
    target, items = scene
    assume(items and len(target.boxes))
    scores = paid(items, target, stage)
    found = scores.parts["f1"] * (len(items) + len(target.boxes)) / 2
    expected = 0.1 * scores.parts["format"] + 0.9 * found**2 / (len(items) * len(target.boxes))
    assert scores.total == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("stage", [*STAGES, Stage(0, 0, 1), Stage(0.75, 0.5, 0.75), Stage(0.05, 0, 1)])
def test_the_credit_never_falls_and_is_continuous_unless_a_threshold_is_a_step(stage: Stage) -> None:
    iou = np.linspace(0, 1, 10_001)
    values = credit(iou, stage)
    assert values[0] == 0
    assert values[-1] == 1
    assert (np.diff(values) >= 0).all()
    assert np.diff(values).max() < 0.01 or stage.xi0 == stage.xi2


@pytest.mark.parametrize(
    ("task", "name", "text", "total"),
    [
        ("classification", "accuracy", "<think>a</think><answer>rose</answer>", 1.0),
        ("classification", "accuracy", "rose <think>a</think><answer>rose</answer>", 0.45),
        ("classification", "accuracy", "<think>a</think><answer>rose</answer><answer>lily</answer>", 0.45),
        ("classification", "accuracy", "<think>a</think><answer>rose or lily</answer>", 0.1),
        ("classification", "accuracy", "<think>a</think><answer></answer>", 0.1),
        ("classification", "accuracy", "rose", 0.0),
        ("counting", "count", "<think>a</think><answer>3</answer>", 1.0),
        ("counting", "count", "3 <think>a</think><answer>3</answer>", 0.45),
        ("counting", "count", "<think>a</think><answer>3 or 4</answer>", 0.1),
        ("counting", "count", "<think>a</think><answer>" + "3" * 5000 + "</answer>", 0.1),
        ("counting", "count", "<think>a</think><answer></answer>", 0.1),
    ],
)
def test_answers_of_text(task: str, name: str, text: str, total: float) -> None:
    labels, count = (["rose"], None) if task == "classification" else ([], 3)
    scores = score(text, Target([], labels, 100, 80, task=task, count=count), ROBUST)
    assert scores.total == pytest.approx(total)
    assert set(scores.parts) == {"format", name}
