"""Points are matched one-to-one: as many hits as possible, the nearest of them, labels where several were asked."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from verl_vision_r1 import Target
from verl_vision_r1.rewards import matching
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match, match_points
from verl_vision_r1.rewards.refinement import OFF

FRAME = (100.0, 100.0)


def matched(points: list[list[float]], target: Target, labels: tuple[str | None, ...] = ()) -> Match:
    boxes = np.tile(np.array(points, dtype=np.float64).reshape(-1, 2), 2)
    return match_points(Answer(boxes, labels or (None,) * len(boxes), frame=FRAME), target, OFF)


def pairs(match: Match) -> list[tuple[int, int]]:
    return sorted(zip(match.predicted.tolist(), match.target.tolist(), strict=True))


def pointing(*boxes: list[int], labels: list[str] | None = None, **fields: object) -> Target:
    return Target(list(boxes), labels or ["cat"] * len(boxes), 100, 100, task="pointing", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_the_matching_is_maximum(seed: int) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 60, (generator.integers(1, 12), 2))
    boxes = np.hstack([corners, corners + generator.uniform(5, 40, corners.shape)])
    target = Target(boxes, ["cat"] * len(boxes), 100, 100, task="pointing")  # type: ignore[arg-type]
    points = generator.uniform(0, 100, (generator.integers(1, 15), 2))
    near = target.regions.nearness(points)
    match = matched(points.tolist(), target)
    best = maximum_bipartite_matching(csr_matrix(near > 0), perm_type="column")
    assert len(match.iou) == np.count_nonzero(best >= 0)
    assert match.iou.tolist() == near[match.predicted, match.target].tolist()
    assert len(set(match.predicted.tolist())) == len(set(match.target.tolist())) == len(match.iou)


def test_a_point_in_two_targets_leaves_the_one_that_no_other_point_hits() -> None:
    """Greedily by nearness, the first point would take the first target, and the second point would miss."""
    target = pointing([0, 0, 40, 40], [20, 0, 60, 40])
    assert pairs(matched([[21, 20], [5, 20]], target)) == [(0, 1), (1, 0)]


def test_of_as_many_hits_the_nearest_are_chosen() -> None:
    target = pointing([0, 0, 40, 40])
    match = matched([[1, 1], [20, 20], [39, 39]], target)
    assert (pairs(match), match.iou.tolist()) == ([(1, 0)], [1.0])


def test_labels_are_compared_if_several_names_were_asked() -> None:
    boxes = ([0, 0, 40, 40], [50, 50, 90, 90])
    several = pointing(*boxes, labels=["cat", "dog"])
    places = [[20.0, 20.0], [70.0, 70.0]]
    assert pairs(matched(places, several, ("Cat", "dog "))) == [(0, 0), (1, 1)]
    assert pairs(matched(places, several, ("dog", "cat"))) == []
    assert pairs(matched(places, several, (None, "dog"))) == [(1, 1)]
    assert pairs(matched(places, pointing(*boxes), ("dog", None))) == [(0, 0), (1, 1)]
    one_of_two = pointing(*boxes, categories=("cat", "dog"))
    assert pairs(matched(places, one_of_two, ("dog", "cat"))) == [(1, 1)]


def test_an_outline_decides_and_not_its_box() -> None:
    target = pointing([0, 0, 40, 40], outlines=[[[0, 0, 40, 0, 0, 40]]])
    assert pairs(matched([[35, 35], [10, 10]], target)) == [(1, 0)]


def test_the_frame_of_the_model_is_converted() -> None:
    target = Target([[100, 0, 200, 50]], ["cat"], 200, 50, task="pointing")  # type: ignore[arg-type]
    assert len(matched([[75, 50]], target).iou) == 1
    assert len(matched([[25, 50]], target).iou) == 0


def test_points_beyond_the_limit_are_not_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_POINTS", 3)
    target = pointing([0, 0, 40, 40])
    assert len(matched([[90, 90]] * 2 + [[20, 20]], target).iou) == 1
    assert len(matched([[90, 90]] * 3 + [[20, 20]], target).iou) == 0


def test_nothing_to_match() -> None:
    assert len(matched([], pointing([0, 0, 40, 40])).iou) == 0
    assert len(matched([[1, 1]], pointing()).iou) == 0
