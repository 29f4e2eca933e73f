"""Properties of the preset `robust`, for any scene and any prediction."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from verl_vision_r1 import Scores, Target, load_curriculum, load_preset, score
from verl_vision_r1.boxes import pairwise_iou
from verl_vision_r1.rewards import policies
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import OFF, Stage, credit

ROBUST = load_preset("robust")
STAGES = [OFF, *load_curriculum("halfway").stages]
WIDTH, HEIGHT = 100, 80
LABELS = ("cat", "dog")

stages = st.sampled_from(STAGES)


@st.composite
def boxes(draw: Any) -> list[float]:
    """A box within the frame, in quarters of a pixel, so that borders and equal boxes occur."""
    x1, y1 = draw(st.integers(0, 4 * WIDTH - 4)) / 4, draw(st.integers(0, 4 * HEIGHT - 4)) / 4
    x2 = draw(st.integers(int(4 * x1) + 1, 4 * WIDTH)) / 4
    return [x1, y1, x2, draw(st.integers(int(4 * y1) + 1, 4 * HEIGHT)) / 4]


@st.composite
def near(draw: Any, box: list[float]) -> list[float]:
    """A box close to another one."""
    moved = np.array(box) + draw(st.lists(st.floats(-6, 6), min_size=4, max_size=4))
    moved = np.clip(moved, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    assume(moved[0] < moved[2] and moved[1] < moved[3])
    return list(map(float, moved))


@st.composite
def scenes(draw: Any) -> tuple[Target, list[dict[str, Any]]]:
    """A target, and predictions, most of which are close to an object."""
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


def scored(items: list[dict[str, Any]], target: Target, stage: Stage) -> Scores:
    return score(json.dumps(items), target, ROBUST, stage=stage)


@given(scene=scenes(), stage=stages)
def test_everything_is_within_range(scene: tuple[Target, Any], stage: Stage) -> None:
    scores = scored(scene[1], scene[0], stage)
    values = [scores.total, *scores.parts.values(), *scores.raw.values()]
    assert all(0 <= value <= 1 + 1e-9 for value in values)


@given(scene=scenes(), stage=stages)
def test_the_ground_truth_scores_1(scene: tuple[Target, Any], stage: Stage) -> None:
    target = scene[0]
    items = [{"bbox_2d": box, "label": label} for box, label in zip(target.boxes.tolist(), target.labels, strict=True)]
    assert scored(items, target, stage).total == pytest.approx(1.0 if items else 0.1 + 0.9 * 0.5)


@given(scene=scenes(), stage=stages, order=st.randoms(use_true_random=False))
def test_the_order_does_not_matter(scene: tuple[Target, Any], stage: Stage, order: Any) -> None:
    target, items = scene
    first, second = scored(items, target, stage), scored(order.sample(items, len(items)), target, stage)
    assert second.parts == pytest.approx(first.parts)
    assert second.raw == pytest.approx(first.raw)
    assert second.mean_iou == pytest.approx(first.mean_iou)


@given(scene=scenes(), stage=stages, data=st.data())
def test_moving_a_box_towards_its_object_never_lowers_the_total(
    scene: tuple[Target, Any], stage: Stage, data: st.DataObject
) -> None:
    target, items = scene
    match = ROBUST.tasks["detection"].matcher(
        ROBUST.tasks["detection"].parser(json.dumps(items), (WIDTH, HEIGHT)), target, stage
    )
    assume(len(match.iou))
    pair = data.draw(st.integers(0, len(match.iou) - 1))
    row, column = int(match.predicted[pair]), int(match.target[pair])
    fraction = data.draw(st.floats(0, 1))
    moved = (1 - fraction) * np.array(items[row]["bbox_2d"]) + fraction * target.boxes[column]
    changed = [*items]
    changed[row] = {**items[row], "bbox_2d": moved.tolist()}
    assert scored(changed, target, stage).total >= scored(items, target, stage).total - 1e-8


@given(scene=scenes(), stage=stages, label=st.sampled_from([*LABELS, "bird", ""]), place=st.integers(0, 6))
def test_a_junk_box_never_raises_the_total(scene: tuple[Target, Any], stage: Stage, label: str, place: int) -> None:
    """The junk box lies below the scene, so it overlaps no object."""
    target, items = scene
    taller = Target(target.boxes, target.labels, WIDTH, HEIGHT + 20, LABELS)
    junk = {"bbox_2d": [10, HEIGHT + 1, 30, HEIGHT + 19], "label": label}
    changed = [*items[:place], junk, *items[place:]]
    assert scored(changed, taller, stage).total <= scored(items, taller, stage).total + 1e-9


@given(scene=scenes(), stage=stages)
def test_swapping_prediction_and_target_swaps_precision_and_recall(scene: tuple[Target, Any], stage: Stage) -> None:
    target, items = scene
    assume(items and len(target.boxes))
    swapped = Target([item["bbox_2d"] for item in items], [item["label"] for item in items], WIDTH, HEIGHT, LABELS)
    objects = [
        {"bbox_2d": box, "label": label} for box, label in zip(target.boxes.tolist(), target.labels, strict=True)
    ]
    one, other = scored(items, target, stage).parts, scored(objects, swapped, stage).parts
    assert (one["recall"], one["precision"], one["f1"]) == pytest.approx(
        (other["precision"], other["recall"], other["f1"]), abs=1e-8
    )


@given(scene=scenes(), stage=stages)
def test_the_total_follows_the_documented_formula(scene: tuple[Target, Any], stage: Stage) -> None:
    target, items = scene
    assume(items and len(target.boxes))
    scores = scored(items, target, stage)
    found = scores.parts["recall"] * len(target.boxes)
    assert scores.parts["precision"] == pytest.approx(found / len(items), abs=1e-8)
    expected = 0.1 * scores.parts["format"] + 0.9 * 2 * found / (len(items) + len(target.boxes))
    assert scores.total == pytest.approx(expected, abs=1e-8)


@given(scene=scenes(), stage=stages, data=st.data())
def test_adding_a_true_positive_never_lowers_the_total(
    scene: tuple[Target, Any], stage: Stage, data: st.DataObject
) -> None:
    """A box for an object that no other prediction of its label overlaps, at the lowest IoU that counts and above."""
    target, items = scene
    assume(len(target.boxes))
    column = data.draw(st.integers(0, len(target.boxes) - 1))
    x1, y1, x2, y2 = target.boxes[column].tolist()
    share = data.draw(st.floats(max(stage.xi0, 0.01), 1.0))
    added = {"bbox_2d": [x1, y1, x1 + (x2 - x1) * min(share + 1e-6, 1.0), y2], "label": target.labels[column]}
    labelled = [index for index, label in enumerate(target.labels) if label == target.labels[column]]
    others = np.array([item["bbox_2d"] for item in items if item["label"] == target.labels[column]]).reshape(-1, 4)
    assume(len(others) < len(labelled))
    # One more prediction than before can be matched, each at least as well as before.
    free = [index for index in labelled if not len(others) or not pairwise_iou(others, target.boxes[[index]]).any()]
    assume(column in free)
    assert scored([*items, added], target, stage).total >= scored(items, target, stage).total - 1e-8


@pytest.mark.parametrize("objects", [1, 3, 10, 40])
@pytest.mark.parametrize("surplus", [1, 3, 30])
def test_right_boxes_with_surplus_get_what_their_f1_says(objects: int, surplus: int) -> None:
    places = [[10 * index, 0, 10 * index + 8, 8] for index in range(objects + surplus)]
    target = Target(places[:objects], ["cat"] * objects, 1000, 10, ("cat",))
    total = scored([{"bbox_2d": place, "label": "cat"} for place in places], target, OFF).total
    assert total == pytest.approx(0.1 + 0.9 * 2 * objects / (2 * objects + surplus))


@pytest.mark.parametrize("stage", STAGES)
def test_writing_small_boxes_beats_leaving_them_out(stage: Stage) -> None:
    """On boxes of COCO: the small ones at the lowest IoU that counts, the others at 0.9."""
    for target in policies.prompts():
        sides = target.boxes[:, 2:] - target.boxes[:, :2]
        small = np.sqrt(sides.prod(axis=1)) < 64
        quality = np.where(small, max(stage.xi0, 0.6), 0.9)
        boxes = target.boxes.copy()
        boxes[:, 2] = boxes[:, 0] + sides[:, 0] * quality
        items = [{"bbox_2d": box, "label": policies.LABEL} for box in boxes.tolist()]
        large = [item for item, left_out in zip(items, small, strict=True) if not left_out]
        assert scored(items, target, stage).total >= scored(large, target, stage).total - 1e-9


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("traffic_light", "traffic light"),
        ("Traffic  Light", "traffic light"),
        ("cafe\u0301", "caf\u00e9"),
        ("a-b", "a b"),
    ],
)
def test_spellings_of_a_label_are_one_label(written: str, label: str) -> None:
    target = Target([[10, 10, 50, 50]], [label], WIDTH, HEIGHT, (label,))
    assert scored([{"bbox_2d": [10, 10, 50, 50], "label": written}], target, OFF).total == pytest.approx(1.0)


@pytest.mark.parametrize("label", ["man", "the man on the left.", "", None])
def test_the_box_alone_decides_in_grounding(label: str | None) -> None:
    target = Target([[10, 10, 50, 50]], ["the man on the left"], WIDTH, HEIGHT, task="grounding")
    item = {"bbox_2d": [10, 10, 50, 50]} | ({} if label is None else {"label": label})
    score_of = scored([item], target, OFF)
    assert score_of.parts["recall"] == (1.0 if label else 0.5)  # Without a label the form is lost.


def test_one_unit_beyond_the_frame_is_no_fault() -> None:
    target = Target([[10, 10, WIDTH, 50], [10, 60, 50, 70]], ["cat", "dog"], WIDTH, HEIGHT, LABELS)
    items = [{"bbox_2d": [10, 10, WIDTH + 1, 50], "label": "cat"}, {"bbox_2d": [10, 60, 50, 70], "label": "dog"}]
    assert scored(items, target, OFF).total == pytest.approx(1.0)
    items[0]["bbox_2d"] = [10, 10, WIDTH + 9, 50]
    assert scored(items, target, OFF).total == pytest.approx(0.9)  # Cut at the frame: the form alone is lost.
    items[0]["bbox_2d"] = [WIDTH + 5, 10, WIDTH + 9, 50]
    assert scored(items, target, OFF).parts["f1"] == pytest.approx(2 * 1 / 4)


def test_a_repeated_key_is_not_well_formed() -> None:
    target = Target([[10, 10, 50, 50]], ["cat"], WIDTH, HEIGHT, LABELS)
    junk = ", ".join('"bbox_2d": [0, 0, 5, 5]' for _ in range(50))
    text = f'[{{{junk}, "bbox_2d": [10, 10, 50, 50], "label": "cat"}}]'
    assert score(text, target, ROBUST).total == pytest.approx(0.45)
    named = Target([[10, 10, 50, 50]], ['"label"'], WIDTH, HEIGHT)
    assert scored([{"bbox_2d": [10, 10, 50, 50], "label": '"label"'}], named, OFF).total == pytest.approx(1.0)


@pytest.mark.parametrize("value", [3, -0.1, "0.3", float("nan"), True, None])
def test_an_option_out_of_range_is_refused(value: Any) -> None:
    for name in ("save", "empty"):
        config = json.loads(json.dumps(read_preset("robust")))
        config["tasks"]["detection"]["criteria"]["f1"][name] = value
        with pytest.raises(ValueError, match=rf"criteria\.f1\.{name}: expected a number in \[0, 1\], got"):
            preset_from_config(config)


@pytest.mark.parametrize("stage", [*STAGES, Stage(0, 0, 1), Stage(0.75, 0.5, 0.75), Stage(0.05, 0, 1)])
def test_the_credit_is_monotonic_and_continuous_unless_xi0_equals_xi2(stage: Stage) -> None:
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
def test_text_completions(task: str, name: str, text: str, total: float) -> None:
    labels, count = (["rose"], None) if task == "classification" else ([], 3)
    scores = score(text, Target([], labels, 100, 80, task=task, count=count), ROBUST)
    assert scores.total == pytest.approx(total)
    assert set(scores.parts) == {"format", name}
