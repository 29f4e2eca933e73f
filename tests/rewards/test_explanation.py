"""Explanations agree with the scores and matches of the presets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st
from test_properties import CASES, STAGES, TARGETS, TEXTS

from verl_vision_r1 import Target, load_curriculum, load_preset
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.attacks import PRESETS
from verl_vision_r1.rewards.criteria import CRITERIA
from verl_vision_r1.rewards.explanation import Explanation, explain
from verl_vision_r1.rewards.forms import Item, form_of
from verl_vision_r1.rewards.matching import match_by_assignment, match_nothing
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import TaskRules, WeightedCriterion, score_completion
from verl_vision_r1.shown import printable

SIDE = 1000
FRAME = (SIDE, SIDE)
CAT, DOG = (100.0, 100.0, 300.0, 300.0), (400.0, 400.0, 600.0, 600.0)
SCENE = Target([CAT, DOG], ["cat", "dog"], SIDE, SIDE, ("cat", "dog"))
BEGINNER, ADVANCED = load_curriculum("halfway").stages
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


def tall(box: tuple[float, ...], fraction: float) -> tuple[float, float, float, float]:
    """A box cut to a fraction of its height, which is its IoU with the whole box."""
    return box[0], box[1], box[2], box[1] + fraction * (box[3] - box[1])


def rules(preset: str, task: str = "detection") -> TaskRules:
    return load_preset(preset).tasks[task]


def explained(preset: str, *items: Item, target: Target = SCENE, stage: Stage = OFF) -> Explanation:
    """Boxes with labels, written in the format of a preset."""
    own = rules(preset)
    return explain(form_of(own.parser).answer(items), target, own, FRAME, stage)


def reasons(preset: str, *items: Item, target: Target = SCENE, stage: Stage = OFF) -> list[str]:
    return [verdict.reason for verdict in explained(preset, *items, target=target, stage=stage).verdicts]


def sure(*boxes: tuple[Any, float]) -> str:
    items = ", ".join(f"{{'Position': {json.dumps(box)}, 'Confidence': {value}}}" for box, value in boxes)
    return f"<think>a</think> <answer>[{items}]</answer>"


@pytest.mark.parametrize(
    ("fraction", "stage", "expected"),
    [
        (0.85, BEGINNER, "IoU 0.85, at least xi2 0.75: found, counts 1.00 in precision"),
        (0.75, BEGINNER, "IoU 0.75, at least xi2 0.75: found, counts 1.00 in precision"),
        (0.6, BEGINNER, "IoU 0.60, at least xi0 0.50: found, counts 0.60 in precision"),
        (0.5, BEGINNER, "IoU 0.50, at least xi0 0.50: found, counts 0.50 in precision"),
        (0.31, BEGINNER, "IoU 0.31, below xi0 0.50: not found, counts 0.00 in precision"),
        (0.4985, BEGINNER, "IoU 0.498, below xi0 0.500: not found, counts 0.00 in precision"),
        (0.6, ADVANCED, "IoU 0.60, below xi0 0.75: not found, counts 0.00 in precision"),
        (0.31, OFF, "IoU 0.31, below xi0 0.50: not found, counts 0.31 in precision"),
        (0.6, Stage(0.5, 0.7, 0.9), "IoU 0.60, below xi1 0.70: found, counts 0.00 in precision"),
    ],
)
def test_vision_r1_counts_by_thresholds(fraction: float, stage: Stage, expected: str) -> None:
    one = Target([CAT], ["cat"], SIDE, SIDE)
    found = explained("vision_r1", (tall(CAT, fraction), "cat"), target=one, stage=stage)
    assert found.verdicts[0].reason == f"matched to object 1 (cat), {expected}"
    assert found.scores.parts["recall"] == float(": found" in expected)
    assert found.scores.parts["precision"] == pytest.approx(float(expected.split("counts ")[1][:4]), abs=0.005)


def test_the_assignment_leaves_duplicates_unmatched() -> None:
    boxes = ((tall(CAT, 0.9), "cat"), (CAT, "cat"), (DOG, "cat"), ((800, 800, 900, 900), "dog"))
    assert reasons("vision_r1", *boxes) == [
        "overlaps object 1 (cat) most, IoU 0.90, which is matched to prediction 2",
        "matched to object 1 (cat), IoU 1.00, at least xi2 1.00: found, counts 1.00 in precision",
        "matched to object 2 (dog), IoU 1.00, at least xi2 1.00: found, counts 1.00 in precision;"
        " its label is cat, that of object 2 is dog",
        "overlaps no object",
    ]


def test_the_assignment_may_match_a_box_to_an_object_it_does_not_overlap() -> None:
    """It minimises the sum of all costs, so a distant box can push a good one to another object."""
    target = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], SIDE, SIDE)
    near, far = ((100.0, 100.0, 300.0, 260.0), "cat"), ((20.0, 350.0, 120.0, 450.0), "dog")
    found = reasons("vision_r1", near, far, target=target)
    assert found[0] == (
        "matched to object 2 (dog), IoU 0.00, below xi0 0.50: not found, counts 0.00 in precision;"
        " it overlaps object 1 (cat) more, IoU 0.80; its label is cat, that of object 2 is dog"
    )
    assert reasons("vision_r1", near, target=target)[0].startswith("matched to object 1 (cat), IoU 0.80")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((CAT, "cat"), "matched to object 1 (cat), IoU 1.00, at least xi2 0.75: credit 1.00"),
        ((tall(CAT, 0.625), "cat"), "matched to object 1 (cat), IoU 0.62, at least xi0 0.50: credit 0.75"),
        ((tall(CAT, 0.25), "cat"), "matched to object 1 (cat), IoU 0.25, below xi0 0.50: credit 0.16"),
        ((CAT, "dog"), "overlaps object 1 (cat) most, IoU 1.00; its label is dog, that of object 1 is cat"),
        ((CAT, "zebra"), "overlaps object 1 (cat) most, IoU 1.00; its label 'zebra' is not one of the categories"),
        ((CAT, None), "overlaps object 1 (cat) most, IoU 1.00; it has no label"),
        (((800, 800, 900, 900), "cat"), "overlaps no object"),
        (
            ((-20.0, 100.0, 300.0, 300.0), "cat"),
            "matched to object 1 (cat), IoU 0.67, at least xi0 0.50: credit 0.83",
        ),
    ],
)
def test_robust_gives_credit_for_the_correct_label(item: Item, expected: str) -> None:
    assert reasons("robust", item, stage=BEGINNER) == [expected]


def test_robust_names_the_prediction_matched_to_the_object() -> None:
    found = reasons("robust", (CAT, "cat"), (tall(CAT, 0.9), "cat"))
    assert found[1] == "overlaps object 1 (cat) most, IoU 0.90, which is matched to prediction 1"


def test_the_greedy_matcher_goes_by_confidence_and_threshold() -> None:
    text = sure(
        (CAT, 0.8), (tall(CAT, 0.9), 0.9), (tall(DOG, 0.4), 0.5), (DOG[2:] + DOG[:2], 0.1), ([5, 5, 5, 9], 0.1)
    )
    found = explain(text, SCENE, rules("visual_rft"), FRAME)
    assert [verdict.reason for verdict in found.verdicts] == [
        "overlaps object 1 (cat) most, IoU 1.00, which is matched to prediction 2",
        "matched to object 1 (cat), IoU 0.90, above 0.50",
        "overlaps object 2 (dog) most, IoU 0.40, not above 0.50",
        "overlaps no object; its corners are in the wrong order",
        "overlaps no object; it has no area",
    ]
    assert [verdict.confidence for verdict in found.verdicts] == [0.8, 0.9, 0.5, 0.1, 0.1]
    assert found.missed == (2,)


def test_the_reason_has_the_configured_threshold() -> None:
    config = read_preset("visual_rft")
    config["tasks"]["detection"]["matcher"]["iou_above"] = 0.3
    own = preset_from_config(config).tasks["detection"]
    assert explain(sure((tall(CAT, 0.4), 1)), SCENE, own, FRAME).verdicts[0].reason.endswith("IoU 0.40, above 0.30")
    config["tasks"]["detection"]["matcher"] = "greedy_confidence"
    own = preset_from_config(config).tasks["detection"]
    assert explain(sure((tall(CAT, 0.4), 1)), SCENE, own, FRAME).verdicts[0].reason.endswith("not above 0.50")


def test_in_grounding_every_overlap_counts() -> None:
    target = Target([CAT], ["the sleeping one"], SIDE, SIDE, task="grounding")
    found = explain(
        "<think></think><answer>(100,100),(300,101)</answer>", target, rules("visual_rft", "grounding"), FRAME
    )
    assert found.verdicts[0].reason == "matched to object 1 (the sleeping one), IoU 0.01, above 0.00"
    assert found.verdicts[0].worth == found.scores.parts["iou"] == pytest.approx(0.005)


@pytest.mark.parametrize("preset", ["vision_r1_release_2025", "vision_r1_release_2026"])
def test_for_the_releases_only_facts_are_given(preset: str) -> None:
    """They score GIoU, so a comparison of the IoU with the thresholds would be wrong."""
    assert reasons(preset, (tall(CAT, 0.6), "cat"), stage=BEGINNER) == ["matched to object 1 (cat), IoU 0.60"]


@pytest.mark.parametrize("preset", ["vlm_r1_od_ap", "vlm_r1_od_length", "vlm_r1_weighted"])
def test_without_a_matcher_only_overlaps_are_given(preset: str) -> None:
    found = explained(preset, (CAT, "Cat"), (tall(CAT, 0.9), "cat"))
    assert found.missed is None
    assert [verdict.reason for verdict in found.verdicts] == [
        "overlaps object 1 (cat) most, IoU 1.00; its label is Cat, that of object 1 is cat",
        "overlaps object 1 (cat) most, IoU 0.90",
    ]
    assert all(verdict.object is None and verdict.overlaps == 1 and verdict.label_equal for verdict in found.verdicts)
    assert any("does not match boxes" in note for note in found.notes)


def test_in_a_negative_sample_every_box_lowers_the_total() -> None:
    empty = Target([], [], SIDE, SIDE, ("cat",))
    found = explained("vision_r1", (CAT, "cat"), target=empty)
    assert [(verdict.reason, verdict.worth) for verdict in found.verdicts] == [("there is no object", -2.0)]


def test_an_invalid_position_is_named() -> None:
    text = "<think>a</think><answer>[{'Position': 'here', 'Confidence': 1}]</answer>"
    found = explain(text, SCENE, rules("visual_rft_release"), FRAME)
    assert found.verdicts[0].reason == "invalid position"
    assert found.as_dict()["predictions"][0]["box"] == [None] * 4


def test_a_reference_answer_with_other_boxes_has_no_object_numbers() -> None:
    solution = sure(([700, 100, 800, 300], 1), (CAT, 1))
    target = Target([CAT, DOG], ["cat", "dog"], SIDE, SIDE, solution=solution)
    found = explain(sure((tall(CAT, 0.9), 1)), target, rules("visual_rft_release"), FRAME)
    verdict = found.verdicts[0]
    assert verdict.reason == "matched to box 2 of the reference answer, IoU 0.90"
    assert (verdict.object, verdict.overlaps, found.missed) == (None, 1, None)
    assert any("reference answer" in note for note in found.notes)


def test_a_verdict_has_box_iou_and_label() -> None:
    own = rules("visual_rft")
    target = Target([[64, 48, 128, 96]], ["cat"], 640, 480)
    verdict = explain(sure(([100, 100, 200, 150], 0.5)), target, own, FRAME).verdicts[0]
    assert verdict.box == pytest.approx((64, 48, 128, 72))
    assert (verdict.number, verdict.object, verdict.iou) == (1, None, pytest.approx(0.5))
    assert (verdict.label, verdict.confidence, verdict.label_equal) == (None, 0.5, False)


def test_unmatched_objects_are_listed() -> None:
    assert explained("vision_r1", (CAT, "cat")).missed == (2,)
    assert explained("vision_r1", (CAT, "cat"), (DOG, "dog")).missed == ()
    assert explained("robust", (CAT, "dog"), (DOG, "cat")).missed == (1, 2)


@pytest.mark.parametrize(
    ("preset", "task", "text", "note"),
    [
        ("robust", "classification", "<answer>phlox</answer>", "the answer is 'phlox', the label is 'garden phlox'"),
        ("robust", "counting", "<answer>4</answer>", "the answer is '4', the number of objects is 3"),
        ("robust", "counting", "", "the answer is '', the number of objects is 3"),
        ("robust", "detection", "no cat", "the completion could not be parsed"),
        ("robust", "detection", '[{"bbox_2d": [1, 2', "the completion is truncated"),
        ("visual_rft", "detection", "<answer>No Objects</answer>", "the answer is 'No Objects'"),
        ("robust", "detection", '[{"bbox_2d": [1]}]', "1 malformed item: no box could be parsed"),
        ("robust", "detection", "[1, 2]", "2 malformed items: no box could be parsed"),
        ("visual_rft_release", "grounding", "(1,2)", "the answer is '(1,2)'"),
        ("robust", "detection", "[]\nNothing.", "the completion is not well-formed"),
    ],
)
def test_notes(preset: str, task: str, text: str, note: str) -> None:
    assert note in explain(text, TARGETS[task], rules(preset, task), (100, 80)).notes


@pytest.mark.parametrize(
    ("preset", "task", "text", "form"),
    [
        ("robust", "detection", "[]", "JSON"),
        ("robust", "detection", "```json\n[]\n```", "JSON in a fence"),
        ("vision_r1", "grounding", "[1, 2, 30, 40]", "bare boxes"),
        ("robust", "detection", "nothing", ""),
    ],
)
def test_the_form_of_the_answer_is_named(preset: str, task: str, text: str, form: str) -> None:
    found = explain(text, Target([[1, 2, 30, 40]], ["cat"], 99, 99, task=task), rules(preset, task), (99, 99))
    assert found.as_dict()["form"] == form


def test_a_correct_and_well_formed_completion_has_no_note() -> None:
    assert explained("robust", (CAT, "cat"), (DOG, "dog")).notes == ()


def test_worth_by_hand() -> None:
    """Total with both boxes: 1 + 1 + (1 + 0.6) / 2; with one: format 1, recall 1/2, precision 0.6 or 1."""
    both = explained("vision_r1", (CAT, "cat"), (tall(DOG, 0.6), "dog"))
    assert both.scores.total == pytest.approx(2.8)
    assert [verdict.worth for verdict in both.verdicts] == pytest.approx([2.8 - (1 + 0.5 + 0.6), 2.8 - (1 + 0.5 + 1)])


def test_a_duplicate_box_has_a_negative_worth() -> None:
    twice = explained("vision_r1", (CAT, "cat"), (CAT, "cat"), (DOG, "dog"))
    assert [verdict.worth for verdict in twice.verdicts[:2]] == pytest.approx([-1 / 3, -1 / 3])


BOX = st.tuples(*[st.integers(0, 9)] * 4).map(
    lambda v: (v[0] * 50.0, v[1] * 50.0, v[0] * 50.0 + 60 + v[2] * 40, v[1] * 50.0 + 60 + v[3] * 40)
)
ITEMS = st.lists(
    st.tuples(BOX, st.sampled_from(["cat", "dog"])), min_size=1, max_size=6, unique_by=lambda item: item[0]
)


@pytest.mark.parametrize("preset", PRESETS)
@given(predicted=ITEMS, objects=ITEMS, stage=st.sampled_from(STAGES))
@budget(40)
def test_worth_is_the_difference_to_the_total_without_the_box(
    preset: str, predicted: list[Item], objects: list[Item], stage: Stage
) -> None:
    """The oracle writes and scores the completion without the box."""
    own = rules(preset)
    target = Target([box for box, _ in objects], [str(label) for _, label in objects], SIDE, SIDE, ("cat", "dog"))
    write = form_of(own.parser).answer
    whole = score_completion(write(predicted), target, own, FRAME, stage).total
    rest = [
        score_completion(write(predicted[:i] + predicted[i + 1 :]), target, own, FRAME, stage).total
        for i in range(len(predicted))
    ]
    worth = [verdict.worth for verdict in explain(write(predicted), target, own, FRAME, stage).verdicts]
    assert worth == pytest.approx([whole - total for total in rest], abs=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
@given(predicted=ITEMS, objects=ITEMS, stage=st.sampled_from(STAGES))
@budget(25)
def test_reasons_agree_with_the_matcher(preset: str, predicted: list[Item], objects: list[Item], stage: Stage) -> None:
    own = rules(preset)
    target = Target([box for box, _ in objects], [str(label) for _, label in objects], SIDE, SIDE, ("cat", "dog"))
    found = explain(form_of(own.parser).answer(predicted), target, own, FRAME, stage)
    match = own.matcher(found.answer, target, stage)
    pairs = dict(zip(match.predicted.tolist(), match.target.tolist(), strict=True))
    for verdict in found.verdicts:
        column = pairs.get(verdict.number - 1)
        assert verdict.object == (None if column is None else column + 1)
        assert (column is not None) == verdict.reason.startswith(f"matched to object {verdict.object} ")
        if ", which is matched to prediction " in verdict.reason:
            taker = int(verdict.reason.split(", which is matched to prediction ")[1].split(";")[0])
            assert pairs[taker - 1] == (verdict.overlaps or 0) - 1
    if found.missed is not None:
        assert set(found.missed) == set(range(1, len(objects) + 1)) - {column + 1 for column in pairs.values()}


@pytest.mark.parametrize(("preset", "task"), CASES)
@given(text=TEXTS, stage=st.sampled_from(STAGES))
@budget(60)
def test_any_text_is_explained_with_its_own_scores(preset: str, task: str, text: str, stage: Stage) -> None:
    own = rules(preset, task)
    found = explain(text, TARGETS[task], own, (100, 80), stage)
    assert found.scores == score_completion(text, TARGETS[task], own, (100, 80), stage)
    assert [verdict.number for verdict in found.verdicts] == list(range(1, found.scores.predicted + 1))
    assert all(line.isprintable() for line in (*found.notes, *(verdict.reason for verdict in found.verdicts)))
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the recorded cases are not here")
@pytest.mark.parametrize("preset", ["vision_r1", "robust", "vision_r1_release_2025", "vision_r1_release_2026"])
def test_recorded_completions_are_explained(preset: str) -> None:
    own = rules(preset)
    cases = json.loads((GOLDEN / "vision_r1_paper.json").read_text(encoding="utf-8"))["cases"]
    with_boxes = 0
    for case in cases:
        true = case["target"]
        fields = (true["boxes"], tuple(true["labels"]), true["width"], true["height"])
        target = Target.unchecked(*fields, task="detection", count=None, solution=None)
        frame = (true["input_width"], true["input_height"])
        found = explain(case["completion"], target, own, frame, BEGINNER)
        assert found.scores == score_completion(case["completion"], target, own, frame, BEGINNER), case["id"]
        with_boxes += bool(found.verdicts)
    assert with_boxes > 100


def test_worth_is_computed_for_a_limited_number_of_boxes() -> None:
    boxes = [((float(i), 0.0, i + 9.0, 9.0), "cat") for i in range(150)]
    found = explained("vision_r1", *boxes)
    assert [verdict.worth is None for verdict in found.verdicts] == [False] * 100 + [True] * 50
    assert "worth is computed for the first 100 of 150 boxes" in found.notes
    many = explained("vision_r1", *boxes * 14)
    assert {verdict.worth for verdict in many.verdicts} == {None}
    assert "worth is not computed for more than 2000 boxes" in many.notes


def test_for_criteria_that_read_the_text_the_item_is_removed_from_it() -> None:
    """The remaining text has no trace of the box, whatever its spelling."""
    own = TaskRules(rules("vision_r1").parser, match_nothing, (WeightedCriterion("cats", cats_in_the_text),))
    text = '[{"label": "cat", "bbox_2d": [1, 2, 3, 4]} , {"bbox_2d": [1, 2, 3, 4], "label": "dog"}]'
    found = explain(text, SCENE, own, FRAME)
    assert [verdict.worth for verdict in found.verdicts] == [1.0, 0.0]


@pytest.mark.parametrize("more", ['{"a": 1}', '[{"a": 1}]', '"{a}"', '", {a}"'])
def test_worth_is_unknown_if_the_item_cannot_be_removed(more: str) -> None:
    for preset, text in {"vlm_r1_od_ap": "<answer>```json{}```</answer>", "cats": "{}"}.items():
        own = rules("vision_r1") if preset == "cats" else rules(preset)
        if preset == "cats":
            own = TaskRules(own.parser, match_nothing, (WeightedCriterion("cats", cats_in_the_text),))
        item = f'[{{"bbox_2d": [1, 2, 3, 4], "label": "cat", "more": {more}}}]'
        found = explain(text.replace("{}", item), SCENE, own, FRAME)
        assert [verdict.worth for verdict in found.verdicts] == [None]


def cats_in_the_text(answer: Answer, *others: Any) -> float:
    return float(answer.text.count("cat"))


class Remembered(Answer):
    """The output of a custom parser."""


def test_worth_is_unknown_for_the_output_of_a_custom_parser() -> None:
    own = TaskRules(
        lambda text, frame: Remembered(boxes=np.array([CAT]), labels=("cat",), parsed=True, frame=frame),
        match_by_assignment,
        (WeightedCriterion("recall", CRITERIA["recall"]),),
    )
    found = explain("", SCENE, own, FRAME)
    assert found.verdicts[0].worth is None
    assert found.verdicts[0].reason == "matched to object 1 (cat), IoU 1.00, at least xi2 1.00: found"
    assert any("more than boxes" in note for note in found.notes)


def one_box_or_worse(answer: Answer, *others: Any) -> float:
    return 1.0 / len(answer.boxes)


@pytest.mark.parametrize(("on_error", "worth"), [("zero", 1.0), ("raise", None)])
def test_worth_if_a_criterion_fails_without_the_box(on_error: str, worth: float | None) -> None:
    criteria = (WeightedCriterion("share", one_box_or_worse),)
    own = TaskRules(rules("vision_r1").parser, match_by_assignment, criteria, on_error=on_error)
    found = explain('[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}]', SCENE, own, FRAME)
    assert found.verdicts[0].worth == worth


def test_a_failing_criterion_is_reported() -> None:
    own = TaskRules(
        rules("vision_r1").parser, match_nothing, (WeightedCriterion("share", one_box_or_worse),), on_error="zero"
    )
    found = explain("[]", SCENE, own, FRAME)
    assert "criterion share failed and counts 0: ZeroDivisionError: float division by zero" in found.notes
    assert found.as_dict()["errors"] == {"share": "ZeroDivisionError: float division by zero"}


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\ud800", "\u202eabc", "\x9b31m", "\r\n\t", "\x00\x7f", "🏴\u200d☠️", "漢字"]
)
def test_control_characters_are_escaped(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode("utf-8")


def test_printable_text_is_unchanged() -> None:
    assert printable("[red] <b> قطة 漢字 é") == "[red] <b> قطة 漢字 é"


POINTED = Target(
    [CAT, DOG], ["cat", "dog"], SIDE, SIDE, ("cat", "dog"), "pointing", outlines=[[], [[400, 400, 600, 400, 400, 600]]]
)


@pytest.mark.parametrize(
    ("preset", "place", "label", "expected"),
    [
        ("robust", [200, 200], "cat", "hits object 1 (cat), nearness 1.00: credit 1.00"),
        ("robust", [100, 150], "cat", "hits object 1 (cat), nearness 0.50: credit 0.50"),
        ("vision_r1", [125, 200], "cat", "hits object 1 (cat), nearness 0.62: counts 0.62 in nearness"),
        ("robust", [590, 590], "dog", "inside no object; inside the box of object 2 (dog), outside its outline"),
        ("robust", [303, 296], "cat", "inside no object; 3 pixels from object 1 (cat)"),
        ("robust", [450, 450], "cat", "inside object 2 (dog); its label is cat, that of object 2 is dog"),
        ("robust", [450, 450], None, "inside object 2 (dog); it has no label"),
        ("robust", [1200, 450], "dog", "inside no object; 600 pixels from object 2 (dog); it exceeds the frame"),
    ],
)
def test_a_point_is_explained(preset: str, place: list[float], label: str | None, expected: str) -> None:
    own = rules(preset, "pointing")
    text = form_of(own.parser).answer([((*place, *place), label)])  # type: ignore[union-attr, arg-type]
    found = explain(text, POINTED, own, FRAME)
    assert found.verdicts[0].reason.startswith(expected)
    form_alone = found.scores.parts["format"] * own.criteria[0].weight
    assert found.verdicts[0].worth == pytest.approx(found.scores.total - form_alone)


def test_a_second_point_in_a_target_is_explained() -> None:
    own = rules("robust", "pointing")
    text = json.dumps([{"point_2d": [200, 200], "label": "cat"}, {"point_2d": [150, 150], "label": "cat"}, {}])
    found = explain(text, POINTED, own, FRAME)
    assert found.verdicts[1].reason == "inside object 1 (cat), which prediction 1 hits"
    assert found.verdicts[1].worth is not None
    assert found.verdicts[1].worth < 0
    assert found.missed == (2,)
    assert "1 malformed item: no point could be parsed" in found.notes
