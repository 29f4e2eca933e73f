"""The ground truth of one sample, and its JSON form.

A sample's `reward_model.ground_truth` is one JSON string, because verl converts nested lists to numeric arrays on the
way to the reward workers. Targets are user input: every error raises `ValueError` when the sample is prepared or
loaded, never during training.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, as_boxes
from verl_vision_r1.points import Outline, Regions, as_outlines, flat
from verl_vision_r1.shown import shown

SEPARATORS: Final = re.compile(r"[\s_-]+")

LabelForm = Callable[[str], str]
"""A label -> the form in which it is compared."""

LabelCodes = tuple[NDArray[np.intp], dict[str, int]]

TASKS = ("detection", "grounding", "classification", "counting", "pointing")

MAX_SIDE: Final = 1_000_000
"""Maximum width and height of an image in pixels."""
MAX_COUNT: Final = 1_000_000_000
"""Maximum number of objects."""


@dataclass(frozen=True, eq=False)
class Target:
    """The ground truth of one sample.

    Attributes:
        boxes: (M, 4) float64 `xyxy` in original-image pixels, `x1 < x2` and `y1 < y2`. M = 0 is a negative sample.
        labels: M names, one per box. For classification: one name, the class, and no boxes.
        width: Width of the original image in pixels, at most `MAX_SIDE`.
        height: Height of the original image in pixels, at most `MAX_SIDE`.
        categories: The names that the prompt lists; empty if the prompt has no closed list.
        task: One of `TASKS`.
        count: Number of objects, if it is not the number of boxes. Required for counting.
        solution: The reference answer of a published dataset. Only the presets of the releases read it.
        outlines: For pointing only: the polygons of each object in original-image pixels, one entry per box; an empty
            entry, or none at all, makes the box the target.

    Raises:
        ValueError: A box is inverted, not finite or outside the image; the numbers of boxes and labels differ; a label
            is missing, blank (`_` counts as a blank) or not among the categories; a side of the image is out of
            range; the task is unknown; the count is missing or invalid; an outline is no polygon inside the image.

    Example:
        >>> target = Target([[10, 20, 110, 220]], ["cat"], width=640, height=480)
        >>> target.boxes.shape, Target.from_json(target.to_json()).labels
        ((1, 4), ('cat',))
    """

    boxes: Boxes
    labels: tuple[str, ...]
    width: int
    height: int
    categories: tuple[str, ...] = ()
    task: str = "detection"
    count: int | None = None
    solution: str | None = None
    outlines: tuple[Outline, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("labels", self.labels), ("categories", self.categories)):
            object.__setattr__(self, name, _names(name, value))
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        _check_task(self.task)
        _check_size(self.width, self.height)
        _check_boxes(self.boxes, self.width, self.height)
        _check_labels(self.labels, self.categories, _labels_expected(self.task, len(self.boxes)))
        _check_count(self.task, self.count)
        if self.solution is not None and not isinstance(self.solution, str):
            raise ValueError(f"ground_truth.solution: expected a string, got {shown(self.solution)}")
        object.__setattr__(self, "outlines", _outlines(self.outlines, self))

    @classmethod
    def unchecked(cls, boxes: Any, labels: tuple[str, ...], width: int, height: int, **fields: Any) -> "Target":
        """Build a target without checks, for recorded cases that are invalid on purpose.

        Args:
            boxes: As in `Target`, but inverted boxes and boxes without area are accepted.
            labels: As in `Target`.
            width: As in `Target`.
            height: As in `Target`.
            fields: `task`, `count`, `solution`.
        """
        target = object.__new__(cls)
        shaped = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        values = {"boxes": shaped, "labels": tuple(labels), "width": width, "height": height, **fields}
        for name, value in values.items():
            object.__setattr__(target, name, value)
        return target

    @property
    def instances(self) -> int:
        """Number of objects."""
        return len(self.boxes) if self.count is None else self.count

    @property
    def is_negative(self) -> bool:
        """Whether the ground truth is empty, so that only an empty prediction is correct."""
        return self.task != "classification" and not self.instances

    @functools.cached_property
    def known_labels(self) -> frozenset[str]:
        """The labels a prediction may use, verbatim and plain: the categories, or else the target's labels."""
        names = self.categories or self.labels
        return frozenset((*names, *map(plain_label, names)))

    @functools.cached_property
    def regions(self) -> Regions:
        """Where a point hits each object: inside its outline, or else inside its box."""
        return Regions(self.boxes, self.outlines)

    def label_codes(self, form: LabelForm) -> LabelCodes:
        """(M,) codes of the labels, equal for labels that are equal in a form, and the code of each name."""
        cached = self.__dict__.setdefault("_label_codes", {})
        if form not in cached:
            codes: dict[str, int] = {}
            for label in self.labels:
                codes[label] = codes.setdefault(form(label), len(codes))
            cached[form] = np.array([codes[label] for label in self.labels], dtype=np.intp), codes
        return cached[form]  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The JSON string for a sample's `reward_model.ground_truth`."""
        fields: dict[str, Any] = {
            "task": self.task,
            "boxes": self.boxes.tolist(),
            "labels": list(self.labels),
            "categories": list(self.categories),
            "width": self.width,
            "height": self.height,
        }
        if self.count is not None:
            fields["count"] = self.count
        if self.solution is not None:
            fields["solution"] = self.solution
        if self.outlines:
            fields["outlines"] = flat(self.outlines)
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Target":
        """Read the output of `to_json`.

        Raises:
            ValueError: The text is not a JSON object, a key is missing or unknown, or the target is invalid.
        """
        try:
            fields: Any = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"ground_truth: expected one JSON string, got {shown(text)}: {error}") from error
        if not isinstance(fields, dict):
            raise ValueError(f"ground_truth: expected a JSON object, got {shown(text)}")
        known = {"task", "boxes", "labels", "categories", "width", "height", "count", "solution", "outlines"}
        missing = {"boxes", "labels", "width", "height"} - fields.keys()
        if missing or fields.keys() - known:
            raise ValueError(
                f"ground_truth: expected the keys {sorted(known)}, got {shown(sorted(fields))}"
                f" (missing {sorted(missing)}, unknown {shown(sorted(fields.keys() - known))})"
            )
        return cls(**fields)


def normalise_label(label: str) -> str:
    """Strip and lowercase a label, for comparison.

    Example:
        >>> normalise_label(" Traffic Light ")
        'traffic light'
    """
    return label.strip().lower()


def plain_label(label: str) -> str:
    """A label without what spellings differ in: Unicode NFKC, case folded, runs of blanks, `_` and `-` as one blank.

    Example:
        >>> plain_label("Traffic_light "), plain_label("traffic  LIGHT")
        ('traffic light', 'traffic light')
    """
    return SEPARATORS.sub(" ", unicodedata.normalize("NFKC", label).casefold()).strip()


def _names(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(issubclass(kind, str) for kind in set(map(type, value))):
        raise ValueError(f"ground_truth.{key}: expected a list of strings, got {shown(value)}")
    return tuple(value)


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"ground_truth.task: expected one of {', '.join(TASKS)}, got {shown(task)}")


def _check_size(width: int, height: int) -> None:
    for name, value in (("width", width), ("height", height)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
            raise ValueError(
                f"ground_truth.{name}: expected a whole number of pixels from 1 to {MAX_SIDE:,}, got {shown(value)}"
            )


def _check_boxes(boxes: Boxes, width: int, height: int) -> None:
    limit = np.array([width, height, width, height], dtype=np.float64)
    ordered = (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    inside = ((boxes >= 0) & (boxes <= limit)).all(axis=1)
    bad = np.flatnonzero(~(ordered & inside))
    if len(bad):
        raise ValueError(
            f"ground_truth.boxes[{bad[0]}]: expected 0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height}"
            f" in original-image pixels, got {boxes[bad[0]].tolist()}"
        )


def _outlines(values: Any, target: Target) -> tuple[Outline, ...]:
    """The outlines of a target, checked; none where all objects are boxes."""
    try:
        outlines = as_outlines(values)
    except ValueError as error:
        raise ValueError(f"ground_truth.{error}") from error
    if not any(outlines):
        return ()
    if target.task != "pointing":
        raise ValueError(f"ground_truth.outlines: expected none for the task {target.task}, got {len(outlines)}")
    if len(outlines) != len(target.boxes):
        raise ValueError(f"ground_truth.outlines: expected {len(target.boxes)}, one per box, got {len(outlines)}")
    vertices = np.concatenate([ring for outline in outlines for ring in outline])
    if not ((vertices >= 0) & (vertices <= (target.width, target.height))).all():
        raise ValueError(
            f"ground_truth.outlines: expected vertices within {target.width}x{target.height} original-image pixels,"
            f" got x from {vertices[:, 0].min():g} to {vertices[:, 0].max():g}, y from {vertices[:, 1].min():g} to"
            f" {vertices[:, 1].max():g}"
        )
    return outlines


def _labels_expected(task: str, boxes: int) -> int:
    if task != "classification":
        return boxes
    if boxes:
        raise ValueError(f"ground_truth.boxes: expected none for the task classification, got {boxes}")
    return 1


def _check_count(task: str, count: Any) -> None:
    if count is None and task != "counting":
        return
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
        raise ValueError(
            f"ground_truth.count: expected a whole number of objects, at most {MAX_COUNT:,}, got {shown(count)}"
        )


def _check_labels(labels: tuple[str, ...], categories: tuple[str, ...], count: int) -> None:
    if len(labels) != count:
        raise ValueError(f"ground_truth.labels: expected {count}, one for each box or one class, got {len(labels)}")
    for index, label in enumerate(labels):
        if not label.replace("_", "").strip():
            raise ValueError(f"ground_truth.labels[{index}]: expected a name, got {shown(label)}")
        if categories and label not in categories:
            raise ValueError(f"ground_truth.labels[{index}]: expected one of the categories, got {shown(label)}")
