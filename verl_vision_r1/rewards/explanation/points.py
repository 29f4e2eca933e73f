"""One sentence per predicted point: which target it hits, or which one is nearest. Numbered from 1."""

from collections.abc import Iterator

import numpy as np

from verl_vision_r1.frames import write_size
from verl_vision_r1.rewards.answers.answer import leave
from verl_vision_r1.rewards.criteria import pointing
from verl_vision_r1.rewards.explanation.reasons import Scene, label_remarks, object_name
from verl_vision_r1.rewards.refinement import refine


def point_reason(scene: Scene, row: int) -> str:
    """Why a point counts or does not.

    Args:
        scene: The completion and its target.
        row: Index of the point, from 0.
    """
    match = _hit(scene, row) if row in scene.pairs else _miss(scene, row)
    return "; ".join([match, *_remarks(scene, row)])


def _hit(scene: Scene, row: int) -> str:
    column, near = scene.pairs[row]
    return f"hits {object_name(scene, column)}, nearness {near:.2f}" + _effect(scene, near)


def _effect(scene: Scene, near: float) -> str:
    """How the nearness of a hit counts in the built-in criteria."""
    if pointing.hit_f1 in scene.functions:
        return f": credit {float(pointing.hit_credit(np.array(near), scene.stage)):.2f}"
    if pointing.nearness in scene.functions:
        return f": counts {refine(near, scene.stage):.2f} in nearness"
    return ""


def _miss(scene: Scene, row: int) -> str:
    if not len(scene.target.boxes):
        return "there is no object"
    inside = scene.nearest(row)
    if inside is None:
        return f"inside no object; {_nearest(scene, row)}"
    taken = f", which prediction {scene.taker[inside] + 1} hits" if inside in scene.taker else ""
    return f"inside {object_name(scene, inside)}{taken}"


def _nearest(scene: Scene, row: int) -> str:
    """The object whose box is nearest to a point, and how far away it is."""
    point, boxes = scene.boxes[row, :2], scene.target.boxes
    beyond = np.maximum(np.maximum(boxes[:, :2] - point, point - boxes[:, 2:]), 0.0)
    apart = np.hypot(*beyond.T)
    column = int(apart.argmin())
    if not apart[column]:
        return f"inside the box of {object_name(scene, column)}, outside its outline"
    return f"{apart[column]:.4g} pixels from {object_name(scene, column)}"


def _remarks(scene: Scene, row: int) -> Iterator[str]:
    frame = scene.answer.frame
    if leave(scene.answer.boxes[row : row + 1], frame):
        yield f"it exceeds the frame {write_size(frame)}"
    if len(set(scene.target.categories or scene.target.labels)) > 1:
        yield from label_remarks(scene, row)
