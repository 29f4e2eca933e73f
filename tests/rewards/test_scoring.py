"""Scores: fixed keys, totals, custom criteria, and properties of any completion."""

import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1 import Target, load_curriculum, load_preset, score
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.presets import preset_from_config
from verl_vision_r1.rewards.refinement import OFF, Stage

TARGET = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], 640, 480, ("cat", "dog"))
PERFECT = [{"bbox_2d": [100, 100, 300, 300], "label": "cat"}, {"bbox_2d": [400, 50, 600, 250], "label": "dog"}]
STAGES = [OFF, *load_curriculum("halfway").stages]
KEYS = {
    *("total", "acc", "format", "format_raw", "recall", "recall_raw", "precision", "precision_raw"),
    *("hit", "hit_raw", "nearness", "nearness_raw"),
    *("stage", "xi0", "xi1", "xi2", "predicted_boxes", "target_boxes", "matched_boxes", "mean_iou"),
    *("negative", "refused", "parsed", "truncated", "out_of_frame", "label_unknown", "criterion_failed"),
}


def raising(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    raise RuntimeError("boom")


def infinite(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    return math.inf


def boxes_times(answer: Answer, target: Target, match: Match, stage: Stage, *, factor: float = 1.0) -> float:
    return factor * len(answer.boxes)


def preset_with(function: str, on_error: str = "zero", **options: Any) -> Any:
    criteria = {"format": {"weight": 1}, "mine": {"weight": 2, "function": f"{__name__}:{function}", **options}}
    detection = {"parser": "json_boxes", "matcher": "assignment", "criteria": criteria}
    return preset_from_config({"tasks": {"detection": detection}, "on_error": on_error})


@pytest.mark.parametrize(
    "text", ["", "[]", json.dumps(PERFECT), "\x00", '[{"bbox_2d": [-5, 0, 1e300, 9]}]', "[" * 9999]
)
@pytest.mark.parametrize("stage", STAGES)
def test_the_keys_are_always_the_same_and_finite(text: str, stage: Stage) -> None:
    values = score(text, TARGET, stage=stage).as_dict(load_preset("vision_r1").criteria)
    assert set(values) == KEYS
    assert all(math.isfinite(value) for value in values.values())


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("[" + json.dumps(PERFECT[0]), "truncated"),
        ('[{"bbox_2d": [1, 2, 700, 40], "label": "cat"}]', "out_of_frame"),
        ('[{"bbox_2d": [1, 2, 30, 40], "label": "bird"}]', "label_unknown"),
        ('[{"bbox_2d": [1, 2, 30, 40]}]', "label_unknown"),
    ],
)
def test_flags(text: str, flag: str) -> None:
    assert score(text, TARGET).flags[flag]
    assert not score(json.dumps(PERFECT), TARGET).flags[flag]


def test_the_total_is_a_weighted_sum_or_mean() -> None:
    text = json.dumps(PERFECT[:1])  # format 1, recall 0.5, precision 1
    config = {"format": {"weight": 2}, "recall": {"weight": 1}, "precision": {"weight": 0}}
    detection = {"parser": "json_boxes", "matcher": "assignment", "criteria": config}
    for total, expected in (("sum", 2.5), ("mean", 2.5 / 3)):
        preset = preset_from_config({"tasks": {"detection": detection}, "total": total})
        assert score(text, TARGET, preset).total == pytest.approx(expected)


def test_a_custom_criterion_counts() -> None:
    scores = score(json.dumps(PERFECT), TARGET, preset_with("boxes_times", factor=3))
    assert scores.parts["mine"] == 6
    assert scores.total == 1 + 2 * 6


@pytest.mark.parametrize("function", ["raising", "infinite"])
def test_a_failing_criterion_counts_0_or_raises(function: str) -> None:
    scores = score(json.dumps(PERFECT), TARGET, preset_with(function))
    assert (scores.total, scores.parts["mine"], scores.flags["criterion_failed"]) == (1.0, 0.0, True)
    with pytest.raises((RuntimeError, ValueError), match=r"boom|expected a finite number, got inf"):
        score("[]", TARGET, preset_with(function, on_error="raise"))


def test_a_task_without_rules_is_refused() -> None:
    preset = load_preset("vision_r1")
    preset.tasks.clear()
    with pytest.raises(ValueError, match="expected rules for one of"):
        score("[]", TARGET, preset)


def test_presets_pickle_and_score_in_threads() -> None:
    preset = pickle.loads(pickle.dumps(load_preset("vision_r1")))
    with ThreadPoolExecutor(4) as pool:
        totals = list(pool.map(lambda _: score(json.dumps(PERFECT), TARGET, preset).total, range(50)))
    assert totals == [3.0] * 50


BOX = st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(-50, 700), st.floats(-50, 500))
ITEM = st.fixed_dictionaries({"bbox_2d": BOX.map(list), "label": st.sampled_from(["cat", "dog", "bird", ""])})


@given(items=st.lists(ITEM, max_size=8), stage=st.sampled_from(STAGES), order=st.randoms(use_true_random=False))
def test_any_boxes_score_within_range_and_independent_of_the_order(items: list[Any], stage: Stage, order: Any) -> None:
    scores = score(json.dumps(items), TARGET, stage=stage)
    assert all(0 <= value <= 1 for value in (*scores.parts.values(), *scores.raw.values()))
    assert scores.total == pytest.approx(sum(scores.parts.values()))
    shuffled = order.sample(items, len(items))
    again = score(json.dumps(shuffled), TARGET, stage=stage)
    assert again.parts == pytest.approx(scores.parts)
    assert score(json.dumps(items), TARGET, stage=stage) == scores


@given(text=st.text(), stage=st.sampled_from(STAGES))
def test_any_text_scores(text: str, stage: Stage) -> None:
    assert 0 <= score(text, TARGET, stage=stage).total <= 3


@pytest.mark.parametrize("stage", STAGES)
def test_a_perfect_prediction_scores_the_maximum(stage: Stage) -> None:
    assert score(json.dumps(PERFECT), TARGET, stage=stage).total == 3.0


@pytest.mark.parametrize(
    "frame", [(0, 0), (640,), (640, -1), (float("nan"), 1), (640, 2e6), "640x480", 5, (True, True)]
)
def test_a_frame_of_another_form_is_refused(frame: Any) -> None:
    with pytest.raises(ValueError, match=r"frame: expected \(width, height\), two numbers from 1 to 1,000,000, got"):
        score("[]", TARGET, frame=frame)


def test_a_frame_may_be_of_numpy() -> None:
    assert score(json.dumps(PERFECT), TARGET, frame=(np.int64(TARGET.width), np.float32(TARGET.height))).total == 3.0


@pytest.mark.parametrize("completion", [None, b"[]", 3])
def test_a_completion_that_is_no_string_is_refused(completion: Any) -> None:
    with pytest.raises(ValueError, match="completion: expected a string, got "):
        score(completion, TARGET)
