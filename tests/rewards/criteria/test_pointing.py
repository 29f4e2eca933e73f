"""The criteria of points: hits, precision, nearness and F1, by stage."""

import json

import pytest
from budget import budget
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1 import Target, load_curriculum, load_preset, score
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores

BEGINNER, ADVANCED = load_curriculum("halfway").stages
TARGET = Target([[0, 0, 40, 40], [50, 50, 90, 90]], ["cat", "cat"], 100, 100, task="pointing")  # type: ignore[arg-type]
NEGATIVE = Target([], [], 100, 100, ("cat",), "pointing")  # type: ignore[arg-type]


def scored(places: list[list[float]], preset: str = "robust", stage: Stage = OFF, target: Target = TARGET) -> Scores:
    text = json.dumps([{"point_2d": place, "label": "cat"} for place in places])
    return score(text, target, preset, stage=stage)


@pytest.mark.parametrize(
    ("places", "hit", "precision"),
    [
        ([[20, 20], [70, 70]], 1.0, 1.0),
        ([[20, 20]], 0.5, 1.0),
        ([[20, 20], [21, 21]], 0.5, 0.5),
        ([[45, 45]], 0.0, 0.0),
        ([[20, 20], [70, 70], [1, 99], [2, 99]], 1.0, 0.5),
        ([], 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("stage", [OFF, BEGINNER, ADVANCED])
def test_hits_and_precision_are_counts_at_every_stage(
    places: list[list[float]], hit: float, precision: float, stage: Stage
) -> None:
    parts = scored(places, "vision_r1", stage).parts
    assert (parts["hit"], parts["precision"]) == (hit, precision)


@pytest.mark.parametrize(
    ("x", "off", "beginner", "advanced"),
    [
        (20, 1, 1, 1),
        (25, 0.875, 1, 0.875),
        (30, 0.75, 1, 0.75),
        (35, 0.625, 0.625, 0),
        (40, 0.5, 0.5, 0),
        (41, 0, 0, 0),
    ],
)
def test_nearness_tightens_with_the_stage(x: float, off: float, beginner: float, advanced: float) -> None:
    one = Target([[0, 0, 40, 40]], ["cat"], 100, 100, task="pointing")  # type: ignore[arg-type]
    found = [scored([[x, 20]], "vision_r1", stage, one).parts["nearness"] for stage in (OFF, BEGINNER, ADVANCED)]
    assert found == pytest.approx([off, beginner, advanced])


def test_f1_rewards_a_hit_with_at_least_half() -> None:
    assert scored([[0, 0], [50, 50]]).parts["f1"] == pytest.approx(0.5)
    assert scored([[20, 20], [70, 70]]).parts["f1"] == 1.0
    assert scored([[0, 20], [50, 70]], stage=ADVANCED).parts["f1"] == pytest.approx(0.5)
    assert scored([[10, 20], [60, 70]], stage=BEGINNER).parts["f1"] == 1.0


@pytest.mark.parametrize("stage", [OFF, BEGINNER, ADVANCED])
@given(
    places=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=6),
    index=st.integers(0, 5),
)
@budget(60)
def test_leaving_out_a_hit_never_raises_the_total(stage: Stage, places: list[tuple[int, int]], index: int) -> None:
    given_places = [list(map(float, place)) for place in places]
    whole = scored(given_places, stage=stage)
    missed = [place for place in given_places if not any(_inside(place, box) for box in TARGET.boxes.tolist())]
    if whole.matched == len(given_places) and not missed:
        less = scored(given_places[: index % len(places)] + given_places[index % len(places) + 1 :], stage=stage)
        assert less.total <= whole.total + 1e-9


def _inside(place: list[float], box: list[float]) -> bool:
    return box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]


@pytest.mark.parametrize("preset", ["robust", "vision_r1"])
def test_negative_samples(preset: str) -> None:
    best = sum(item.weight for item in load_preset(preset).tasks["pointing"].criteria)
    assert scored([], preset, target=NEGATIVE).total == pytest.approx(best if preset == "vision_r1" else 0.55)
    pointed = scored([[20, 20]], preset, target=NEGATIVE)
    assert pointed.total == pytest.approx(pointed.parts["format"] * (1.0 if preset == "vision_r1" else 0.1))
    assert score("There is none.", NEGATIVE, preset).total == 0.0


def test_acc_is_1_for_all_targets_and_nothing_else() -> None:
    assert scored([[1, 1], [51, 51]]).acc == 1.0
    assert scored([[1, 1]]).acc == scored([[1, 1], [51, 51], [99, 0]]).acc == scored([[1, 1], [2, 2]]).acc == 0.0
