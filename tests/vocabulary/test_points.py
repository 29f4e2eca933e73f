"""Points in boxes and outlines: the even-odd rule against a plain loop, nearness, and the middle of any shape."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from verl_vision_r1.points import Regions, as_outlines, flat

STAR = [[0, 30, 70, 30, 10, 90, 40, 0, 60, 90]]
"""A polygon that crosses itself."""
HOOK = [[0, 0, 100, 0, 100, 100, 80, 100, 80, 20, 0, 20]]
"""An outline whose box has its centre outside."""


def boxes_of(outlines: list[Any]) -> NDArray[np.float64]:
    rings = [np.concatenate([np.array(ring).reshape(-1, 2) for ring in outline]) for outline in outlines]
    return np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings], dtype=np.float64)


def is_inside(point: NDArray[np.float64], outline: list[list[float]]) -> bool:
    """The even-odd rule, edge by edge; the polygons of an object are united."""
    for numbers in outline:
        corners, odd = np.array(numbers).reshape(-1, 2), False
        for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if (y1 > point[1]) != (y2 > point[1]):
                odd ^= bool(point[0] < x1 + (x2 - x1) * (point[1] - y1) / (y2 - y1))
        if odd:
            return True
    return False


def random_outlines(generator: np.random.Generator) -> list[list[list[float]]]:
    counts = generator.integers(1, 4, size=6)
    return [[generator.uniform(0, 100, 2 * generator.integers(3, 12)).tolist() for _ in range(n)] for n in counts]


@pytest.mark.parametrize("seed", range(20))
def test_inside_follows_the_even_odd_rule(seed: int) -> None:
    generator = np.random.default_rng(seed)
    outlines = [*random_outlines(generator), STAR, HOOK]
    points = generator.uniform(-5, 105, size=(60, 2))
    near = Regions(boxes_of(outlines), as_outlines(outlines)).nearness(points)
    expected = [[is_inside(point, outline) for outline in outlines] for point in points]
    assert (near > 0).tolist() == expected
    assert ((near == 0) | ((near >= 0.5) & (near <= 1))).all()


def test_a_box_is_an_outline_of_four_corners() -> None:
    box = np.array([[10.0, 20.0, 110.0, 60.0]])
    points = np.random.default_rng(0).uniform(0, 120, size=(200, 2))
    corners = as_outlines([[[10, 20, 110, 20, 110, 60, 10, 60]]])
    assert Regions(box, corners).nearness(points) == pytest.approx(Regions(box).nearness(points))


def test_boxes_and_outlines_are_mixed() -> None:
    regions = Regions(np.array([[0.0, 0, 100, 100], [0, 0, 100, 100]]), as_outlines([[], HOOK]))
    assert (regions.nearness(np.array([[50.0, 50.0], [90.0, 50.0]])) > 0).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize(
    "outline", [STAR, HOOK, [[0, 0, 100, 0, 0, 100]], [[0, 0, 9, 0, 9, 9], [50, 50, 99, 50, 60, 99]]]
)
def test_the_middle_is_inside_and_far_from_the_border(outline: list[list[float]]) -> None:
    regions = Regions(boxes_of([outline]), as_outlines([outline]))
    middles, inside = regions.middles()
    assert inside.all()
    assert is_inside(middles[0], outline)
    assert regions.nearness(middles).item() == pytest.approx(1.0)
    somewhere = np.random.default_rng(0).uniform(0, 100, size=(3000, 2))
    apart = regions._depth(somewhere / (regions.boxes[0, 2:]), np.zeros(3000, np.intp))
    assert regions._middles(np.array([0]))[1][0] > 0.75 * apart.max()


def test_an_outline_too_thin_for_the_search_has_no_middle() -> None:
    thin = [[0, 0, 100, 0.001, 100, 0.002, 99, 100, 98.9999, 100, 99.99, 0.002]]
    regions = Regions(boxes_of([thin]), as_outlines([thin]))
    assert not regions.middles()[1].any()
    assert regions.nearness(np.array([[50.0, 0.0011]])).item() in (0.0, 1.0)


def test_no_points_and_no_targets() -> None:
    assert Regions(np.zeros((0, 4))).nearness(np.zeros((3, 2))).shape == (3, 0)
    assert Regions(np.array([[0.0, 0, 9, 9]]), as_outlines([[[0, 0, 9, 0, 9, 9]]])).nearness(
        np.zeros((0, 2))
    ).shape == (0, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("abc", "expected a list of polygons for each object"),
        ([[[0, 0, 1, 1]]], "expected at least three vertices"),
        ([[[0, 0, 1, 1, 2]]], "expected at least three vertices"),
        ([[[0, 0, 1, 1, 2, float("nan")]]], "expected finite numbers"),
        ([[[0, 0, 1, 1, 2, 10**400]]], "expected a polygon"),
        ([[{"counts": "x"}]], "expected a polygon"),
    ],
)
def test_what_is_no_polygon_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"outlines: {message}"):
        as_outlines(values)


def test_outlines_as_json_and_back() -> None:
    assert flat(as_outlines([STAR, []])) == [STAR, []]
