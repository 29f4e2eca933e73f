"""A refusal is an explicit empty prediction; a malformed completion is none."""

import pytest

from verl_vision_r1 import Target, load_preset, score
from verl_vision_r1.rewards.refinement import OFF
from verl_vision_r1.rewards.scoring import nothing_scored

CAT = {"boxes": [[1, 2, 30, 40]], "labels": ["cat"], "categories": ("cat",)}
NOTHING = {"boxes": [], "labels": [], "categories": ("cat",)}
BOX = '[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}]'


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("[]", True),
        ("```json\n[]\n```", True),
        (BOX, False),
        ('[{"bbox_2d": null, "label": "cat"}]', False),
        ("There is no cat.", False),
        ("", False),
        ('[{"bbox_2d": [1, 2', False),
    ],
)
@pytest.mark.parametrize("target", [CAT, NOTHING])
def test_an_explicit_empty_list_is_a_refusal(text: str, refused: bool, target: dict[str, object]) -> None:
    for task in ("detection", "grounding"):
        scores = score(text, Target(**target, width=64, height=48, task=task), "robust")  # type: ignore[arg-type]
        assert scores.flags["refused"] == refused
        assert scores.negative == (target is NOTHING)


def test_no_points_are_a_refusal() -> None:
    target = Target(**CAT, width=64, height=48, task="pointing")  # type: ignore[arg-type]
    texts = ("[]", '[{"point_2d": [5, 5], "label": "cat"}]', "nowhere")
    assert [score(text, target, "robust").flags["refused"] for text in texts] == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "refused"), [("0", True), ("00", True), ("3", False), ("none", False), ("", False)]
)
def test_the_number_0_is_a_refusal(answer: str, refused: bool) -> None:
    for count in (0, 2):
        target = Target([], [], 64, 48, task="counting", count=count)
        scores = score(f"<think></think><answer>{answer}</answer>", target, "robust")
        assert (scores.flags["refused"], scores.negative) == (refused, count == 0)


def test_a_class_cannot_be_refused() -> None:
    target = Target([], ["siamese"], 64, 48, task="classification")
    scores = score("<think></think><answer></answer>", target, "robust")
    assert (scores.flags["refused"], scores.negative) == (False, False)


def test_a_sample_that_could_not_be_scored_is_no_refusal() -> None:
    target = Target(**NOTHING, width=64, height=48)  # type: ignore[arg-type]
    scores = nothing_scored(target, load_preset("robust").rules_of(target), OFF)
    assert (scores.flags["refused"], scores.negative) == (False, True)
