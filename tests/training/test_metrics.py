"""Metrics of a step, by criterion, source and group."""

import pytest

from verl_vision_r1.training.metrics import Rollouts, reward_metrics


def rollouts(**changes: object) -> Rollouts:
    """Two prompts of one source with two rollouts each, and one prompt of another source."""
    fields: dict[str, object] = {
        "sources": ["coco/detection"] * 4 + ["pets/classification"] * 2,
        "groups": ["a", "a", "b", "b", "c", "c"],
        "scores": [1.0, 2.0, 1.5, 1.5, 0.0, 0.0],
        "lengths": [10, 20, 30, 40, 5, 7],
        "extras": [
            {"recall": recall, "parsed": parsed, "clipped": 0.0, "stage": 1.0, "xi0": 0.75, "scoring_seconds": 0.001}
            for recall, parsed in [(1.0, 1.0), (0.5, 1.0), (0.0, 0.0), (0.5, 1.0), (0.0, 1.0), (0.0, 0.0)]
        ],
    }
    return Rollouts(**{**fields, **changes})  # type: ignore[arg-type]


def test_criteria_and_flags_are_means_by_source() -> None:
    metrics = reward_metrics(rollouts())
    assert metrics["critic/vision_r1/coco/detection/recall/mean"] == 0.5
    assert metrics["critic/vision_r1/coco/detection/unparsed/mean"] == 0.25
    assert metrics["critic/vision_r1/pets/classification/parsed/mean"] == 0.5
    assert metrics["critic/vision_r1/coco/detection/response_length/mean"] == 25
    assert metrics["critic/vision_r1/pets/classification/response_length/mean"] == 6


def test_the_stage_is_one_for_all_sources() -> None:
    metrics = reward_metrics(rollouts())
    assert (metrics["critic/vision_r1/stage"], metrics["critic/vision_r1/xi0"]) == (1.0, 0.75)
    assert not [name for name in metrics if name.endswith("detection/stage/mean")]


def test_groups_without_a_gradient_are_counted() -> None:
    metrics = reward_metrics(rollouts())
    assert metrics["critic/vision_r1/groups/same_score"] == pytest.approx(2 / 3)
    assert metrics["critic/vision_r1/groups/all_zero"] == pytest.approx(1 / 3)
    assert metrics["critic/vision_r1/coco/detection/groups/same_score"] == 0.5
    assert metrics["critic/vision_r1/coco/detection/groups/all_zero"] == 0.0
    assert metrics["critic/vision_r1/pets/classification/groups/all_zero"] == 1.0


def test_refusals_are_counted_among_negatives_and_among_the_others() -> None:
    pairs = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
    metrics = reward_metrics(
        rollouts(extras=[{"negative": negative, "refused": refused} for negative, refused in pairs])
    )
    refusals = {name: value for name, value in metrics.items() if "/refusal/" in name}
    assert refusals == {
        "critic/vision_r1/refusal/negatives_refused": 0.5,
        "critic/vision_r1/refusal/positives_refused": 0.25,
        "critic/vision_r1/coco/detection/refusal/negatives_refused": 0.5,
        "critic/vision_r1/coco/detection/refusal/positives_refused": 0.5,
        "critic/vision_r1/pets/classification/refusal/positives_refused": 0.0,
    }


def test_text_is_not_a_metric() -> None:
    extras = [{"recall": 1.0, "image_id": "000042"}] * 6
    assert not [name for name in reward_metrics(rollouts(extras=extras)) if "image_id" in name]


def test_scoring_time() -> None:
    metrics = reward_metrics(rollouts())
    assert metrics["critic/vision_r1/scoring_seconds/sum"] == pytest.approx(0.006)
    assert metrics["critic/vision_r1/scoring_seconds/max"] == pytest.approx(0.001)


def test_a_step_without_samples_has_no_metrics() -> None:
    assert reward_metrics(Rollouts([], [], [], [], [])) == {}
