"""Point geometry: which points lie inside which targets, and how near to the middle of them.

A target is a box, or an outline: one or more polygons, as COCO's `segmentation` has them. Points and targets are in
the same frame. In shapes, N is the number of points and M of targets.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes
from verl_vision_r1.shown import shown

Points = NDArray[np.float64]
"""(N, 2) float64 points `xy`."""
Outline = tuple[Points, ...]
"""The polygons of one target, each (K, 2) with K >= 3; the last vertex is joined to the first. Empty for a box."""

GRID: Final = 7
"""Points along each side of a box among which the middle of an outline is searched, twice. Odd: one is the centre."""
MOST_EDGES: Final = 400_000
"""Edges of outlines that the points in their boxes are compared with: thousands of pairs of a point and an outline."""
LEAST_DEPTH: Final = 1e-6
"""Distance from the border to the middle of an outline so thin that none of these points is inside."""
BORDER: Final = 0.5
"""Nearness of a point on the border of its target: 0 is outside, 1 is the middle."""


def as_outlines(values: Any) -> tuple[Outline, ...]:
    """Convert user input to outlines.

    Args:
        values: For each target its polygons, each `[x1, y1, x2, y2, ...]` as in COCO, or of shape (K, 2).

    Raises:
        ValueError: A polygon has fewer than three vertices, an odd number of coordinates, or one that is not finite.

    Example:
        >>> outlines = as_outlines([[[0, 0, 4, 0, 4, 3]], []])
        >>> [len(outline) for outline in outlines], outlines[0][0].shape
        ([1, 0], (3, 2))
    """
    if not isinstance(values, list | tuple) or not all(isinstance(outline, list | tuple) for outline in values):
        raise ValueError(f"outlines: expected a list of polygons for each object, got {shown(values)}")
    return tuple(tuple(map(_polygon, outline)) for outline in values)


def _polygon(value: Any) -> Points:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"outlines: expected a polygon [x1, y1, x2, y2, ...], got {shown(value)}") from error
    flat = numbers.ndim == 1 and numbers.size % 2 == 0
    if not (flat or (numbers.ndim == 2 and numbers.shape[1] == 2)) or numbers.size < 6:
        raise ValueError(f"outlines: expected at least three vertices [x1, y1, x2, y2, ...], got {shown(value)}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"outlines: expected finite numbers, got {shown(value)}")
    return numbers.reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Regions:
    """The targets of one sample, prepared for many points.

    Attributes:
        boxes: (M, 4) `xyxy`, of positive area.
        outlines: The outlines of the M targets; empty if all of them are boxes.
    """

    boxes: Boxes
    outlines: tuple[Outline, ...] = ()

    @functools.cached_property
    def _rings(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each target the number of its polygons, for each polygon the number of its edges."""
        counts = [len(outline) for outline in self.outlines] or [0] * len(self.boxes)
        return np.array(counts, np.intp), np.array([len(ring) for item in self.outlines for ring in item], np.intp)

    @functools.cached_property
    def _edges(self) -> NDArray[np.float64]:
        """(4, E) edges of all polygons, `xyxy` from one vertex to the next, relative to the box of their target."""
        corners, sides = self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]
        edges = [np.zeros((0, 4))]
        for index, outline in enumerate(self.outlines):
            for ring in outline:
                scaled = (ring - corners[index]) / sides[index]
                edges.append(np.hstack([scaled, np.roll(scaled, -1, axis=0)]))
        return np.ascontiguousarray(np.concatenate(edges).T)

    @functools.cached_property
    def _edge_counts(self) -> NDArray[np.intp]:
        """(M,) number of edges of each outline."""
        return np.array([sum(map(len, outline)) for outline in self.outlines], np.intp)

    @functools.cached_property
    def _found(self) -> tuple[Points, NDArray[np.float64]]:
        """(M, 2) middles and (M,) their distance to the border, relative to the boxes; NaN where not yet found."""
        outlined = self._rings[0] > 0
        unknown = np.where(outlined, np.nan, 0.5)
        return np.stack([unknown, unknown], axis=1), unknown.copy()

    def _middles(self, targets: NDArray[np.intp]) -> tuple[Points, NDArray[np.float64]]:
        """`_found`, in which these targets are found: of some points, the one farthest from the border."""
        middles, deepest = self._found
        missing = np.unique(targets[np.isnan(deepest[targets])])
        if len(missing):
            places = np.full((len(missing), 2), 0.5)
            for width in (1.0, 2.0 / GRID):
                offsets = ((np.arange(GRID) + 0.5) / GRID - 0.5) * width
                grid = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
                tried = (places[:, None] + grid).reshape(-1, 2)
                depth = self._depth(tried, np.repeat(missing, len(grid))).reshape(len(missing), -1)
                places = places + grid[depth.argmax(axis=1)]
            middles[missing], deepest[missing] = places, np.maximum(depth.max(axis=1), LEAST_DEPTH)
        return middles, deepest

    def middles(self) -> tuple[Points, NDArray[np.bool_]]:
        """(M, 2) the middle of each target in the frame of the targets, and (M,) whether it lies inside its target.

        In an outline too thin for the search, it may lie outside.
        """
        middles, deepest = self._middles(np.arange(len(self.boxes)))
        corners, sides = self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]
        return corners + middles * sides, deepest > LEAST_DEPTH

    def hits(
        self, points: Points, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """The pairs of a point and a target that it is inside of, and their nearness.

        Args:
            points: (N, 2) in the frame of the targets.
            allowed: (N, M) the pairs that may be found; by default all.

        Returns:
            Indices of the points and of the targets, by point, and nearness in [1/2, 1], each of shape (P,). With
            outlines, pairs beyond `MOST_EDGES` are left out.
        """
        x, y = points.T[:, :, None]
        x1, y1, x2, y2 = np.ascontiguousarray(self.boxes.T)
        within = x >= x1
        within &= x <= x2
        within &= y >= y1
        within &= y <= y2
        if allowed is not None:
            within &= allowed
        rows, columns = within.nonzero()
        if not len(rows):
            return rows, columns, np.zeros(0)
        corners = self.boxes[columns]
        relative = (points[rows] - corners[:, :2]) / (corners[:, 2:] - corners[:, :2])
        depth = np.minimum(relative, 1.0 - relative).min(axis=1)
        if not self.outlines:
            return rows, columns, BORDER + np.minimum(depth, 0.5)
        possible = np.count_nonzero(np.cumsum(self._edge_counts[columns]) <= MOST_EDGES)
        rows, columns, relative, depth = rows[:possible], columns[:possible], relative[:possible], depth[:possible]
        outlined = np.flatnonzero(self._rings[0][columns])
        depth[outlined] = self._depth(relative[outlined], columns[outlined])
        inside = np.flatnonzero(depth >= 0)
        rows, columns, depth = rows[inside], columns[inside], depth[inside]
        deepest = self._middles(columns)[1][columns]
        return rows, columns, BORDER + BORDER * np.minimum(depth / deepest, 1.0)

    def nearness(self, points: Points) -> NDArray[np.float64]:
        """How near each point is to the middle of each target: 0 outside, 1/2 on the border, 1 in the middle.

        In between it is linear in the distance from the border, with both axes scaled to the sides of the target's
        box. The middle of an outline is the point that is farthest from its border, which lies inside any shape.

        Args:
            points: (N, 2) in the frame of the targets.

        Returns:
            (N, M) in [0, 1].

        Source:
            This project. Insideness by the even-odd rule for each polygon; an object's polygons are united.

        Example:
            >>> square = Regions(np.array([[0.0, 0.0, 10.0, 10.0]]))
            >>> square.nearness(np.array([[5.0, 5.0], [0.0, 3.0], [7.5, 5.0], [11.0, 5.0]])).ravel().tolist()
            [1.0, 0.5, 0.75, 0.0]
        """
        near = np.zeros((len(points), len(self.boxes)))
        rows, columns, found = self.hits(points)
        near[rows, columns] = found
        return near

    def _depth(self, points: Points, targets: NDArray[np.intp]) -> NDArray[np.float64]:
        """(P,) distance of each point to the border of its outline, -1 outside; all relative to the target's box.

        Args:
            points: (P, 2).
            targets: (P,) index of the outlined target of each point.
        """
        depth = np.full(len(points), -1.0)
        of_ring, ring = _spread(self._rings[0], targets)
        inside = self._inside(points[of_ring], ring)
        of_ring, ring = of_ring[inside], ring[inside]
        # Within one polygon, the borders of the others do not matter.
        np.maximum.at(depth, of_ring, self._distance(points[of_ring], ring))
        return depth

    def _inside(self, points: Points, rings: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(R,) whether each point lies inside its polygon: a ray to the right crosses an odd number of edges."""
        x, y, x1, y1, x2, y2, starts = self._pairs(points, rings)
        above = y1 > y
        crosses = above != (y2 > y)
        crosses &= ((x - x1) * (y2 - y1) < (y - y1) * (x2 - x1)) == (y2 > y1)
        odd: NDArray[np.bool_] = np.logical_xor.reduceat(crosses, starts) if len(starts) else crosses
        return odd

    def _distance(self, points: Points, rings: NDArray[np.intp]) -> NDArray[np.float64]:
        """(R,) distance of each point to the nearest edge of its polygon."""
        x, y, x1, y1, x2, y2, starts = self._pairs(points, rings)
        along, across, left, above = x2 - x1, y2 - y1, x - x1, y - y1
        squared = np.maximum(along * along + across * across, np.finfo(np.float64).tiny)
        place = np.clip((left * along + above * across) / squared, 0.0, 1.0)
        left -= place * along
        above -= place * across
        squares = left * left + above * above
        distance: NDArray[np.float64] = np.sqrt(np.minimum.reduceat(squares, starts) if len(starts) else squares)
        return distance

    def _pairs(self, points: Points, rings: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """Each point with each edge of its polygon: coordinates of both, and where the edges of each point begin."""
        lengths = self._rings[1]
        of_edge, edge = _spread(lengths, rings)
        return *points.T[:, of_edge], *self._edges[:, edge], _starts(lengths[rings])


def _spread(counts: NDArray[np.intp], of: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The parts of some wholes: for each part the place of its whole in `of`, and its own index.

    Example:
        >>> [array.tolist() for array in _spread(np.array([2, 1]), np.array([1, 0]))]
        [[0, 1, 1], [2, 0, 1]]
    """
    wanted = counts[of]
    places = np.repeat(np.arange(len(of)), wanted)
    first = np.cumsum(counts) - counts
    return places, np.arange(len(places)) - np.repeat(_starts(wanted), wanted) + first[of][places]


def _starts(lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each run begins in runs of some lengths, one after another."""
    starts: NDArray[np.intp] = np.cumsum(lengths) - lengths
    return starts


def flat(outlines: Sequence[Outline]) -> list[list[list[float]]]:
    """Outlines for JSON, each polygon as `[x1, y1, x2, y2, ...]`.

    Example:
        >>> flat(as_outlines([[[0, 0, 4, 0, 4, 3]]]))
        [[[0.0, 0.0, 4.0, 0.0, 4.0, 3.0]]]
    """
    return [[ring.ravel().tolist() for ring in outline] for outline in outlines]
