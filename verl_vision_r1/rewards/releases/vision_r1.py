"""Vision-R1 as released: the TRL code of 2025 and the EasyR1 code of 2026, which share parser and matcher.

Source: jefferyZhan/Griffon, `Vision-R1/vision_r1/visionr1_qwen.py` (2025-08-12) and
`Vision-R1/EasyR1/examples/reward_function/visionr1.py` (33b0f5c, 2026-04). Differences from the paper: GIoU instead of
IoU, exclusive upper thresholds, whole-number coordinates, float32, no check of the numbers in the format reward, and a
format reward that is inverted for negative samples.
"""

import json
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, fit
from verl_vision_r1.rewards.answers.json_boxes import Labels, keep_boxes
from verl_vision_r1.rewards.answers.json_search import decode_value
from verl_vision_r1.rewards.matching import NO_PAIRS, Match, same_label
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

FENCE: Final = "```"
FENCE_OF_FORMAT: Final = re.compile(r"```json\n|\n```")
ITEM: Final = re.compile(
    r'\{"bbox_2d": \[(\d{1,3}|1000), (\d{1,3}|1000), (\d{1,3}|1000), (\d{1,3}|1000)\], "label": "([^"]+)"\}'
)


def parse(completion: str, frame: Size) -> Answer:
    """Parse JSON boxes as the release does: lines split at every Unicode line break, whole numbers only.

    Returns:
        The parsed completion; its boxes are whole numbers in units of `frame`. `well_formed` is the release's format
        reward for a sample with objects.

    Example:
        >>> parse('[{"bbox_2d": [1.9, "2", 30, 40], "label": "cat"}]', (100, 100)).boxes.tolist()
        [[1.0, 2.0, 30.0, 40.0]]
    """
    text = completion.strip()
    document = _load(_without_fence(text))
    rows: list[list[float]] = []
    labels: Labels = []
    items: list[Any] = document if isinstance(document, list) else []
    for item in items:
        coordinates = _whole_numbers(item.get("bbox_2d")) if isinstance(item, dict) else None
        if coordinates is not None:
            label = item.get("label")
            rows.append(coordinates)
            labels.append(label if isinstance(label, str) else None)
    boxes, labels = keep_boxes(rows, labels)
    if not len(boxes):
        found = ITEM.findall(text)
        boxes, labels = keep_boxes([[float(x) for x in item[:4]] for item in found], [f[4] for f in found])
    boxes, outside = fit(boxes, frame)
    return Answer(
        boxes=boxes,
        labels=tuple(labels),
        well_formed=_format(completion),
        parsed=isinstance(document, list) or len(boxes) > 0,
        out_of_frame=outside,
        malformed=max(len(items) - len(boxes), 0),
        text=completion,
        frame=frame,
    )


def match(answer: Answer, target: Target, stage: Stage) -> Match:
    """The assignment with the minimum total cost `L1 - [label equal] - GIoU`, in float32.

    Returns:
        min(N, M) matches; the release scores their `giou`.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> pairs = match(parse('[{"bbox_2d": [0, 0, 50, 25], "label": "cat"}]', (100, 100)), target, OFF)
        >>> pairs.giou.dtype.name, pairs.giou.tolist()
        ('float32', [0.5])
    """
    if not len(answer.boxes) or not len(target.boxes):
        return NO_PAIRS
    true = target.boxes.astype(np.float32)
    boxes = answer.boxes.astype(np.float32)
    boxes[:, ::2] = boxes[:, ::2] / answer.frame[0] * target.width
    boxes[:, 1::2] = boxes[:, 1::2] / answer.frame[1] * target.height
    iou, giou = _iou_giou(boxes, true)
    same = same_label(answer, target)
    cost = _distance(boxes, true)
    cost -= same
    cost -= giou
    rows, columns = linear_sum_assignment(np.nan_to_num(cost, copy=False))
    return Match(rows, columns, iou[rows, columns], giou[rows, columns], same[rows, columns])


def format_reward(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if the text without its fence is JSON whose boxes have four entries, else 0; inverted if M = 0.

    Returns:
        0.0 or 1.0.

    Source:
        `dual_format_reward` of both releases.

    Example:
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> from verl_vision_r1 import score
        >>> score("42", target, "vision_r1_release_2025").parts["format"]
        1.0
    """
    return float(answer.well_formed if target.instances > 0 else not answer.well_formed)


def recall_reward(
    answer: Answer, target: Target, match: Match, stage: Stage, *, outer: tuple[float, float] = (0.5, 0.75)
) -> float:
    """Recall in GIoU. A match above `xi0` counts 1, and one exactly at `xi0` counts its GIoU.

    Args:
        answer: The parsed completion.
        target: The ground truth.
        match: Matches of `match`.
        stage: The current thresholds; only `xi0` and whether `xi1` is above 0 are used.
        outer: Thresholds for refining the recall, constant in the release; not applied if `xi1` is 0.

    Returns:
        A number in [0, 1].

    Source:
        `recall_reward` of both releases.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> score('[{"bbox_2d": [0, 0, 50, 25], "label": "cat"}]', target, "vision_r1_release_2025").parts["recall"]
        0.5
    """
    if not len(answer.boxes) or not len(target.boxes):
        return _without_pairs(answer, target)
    found = _differentiate(match.giou, stage.xi0, stage.xi0).sum() / np.float32(target.instances)
    low, high = outer if stage.xi1 > 0 else (0.0, 1.0)
    return float(_differentiate(np.asarray(found), low, high))


def precision_reward(
    answer: Answer, target: Target, match: Match, stage: Stage, *, denominator: str = "matched"
) -> float:
    """Mean refined GIoU of the matches (2025), or their sum divided by the number of predictions (2026).

    Args:
        answer: The parsed completion.
        target: The ground truth.
        match: Matches of `match`.
        stage: The current thresholds.
        denominator: `matched` (surplus boxes have no effect) or `predicted`.

    Returns:
        A number in [0, 1].

    Source:
        `precision_reward` of both releases.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}, {"bbox_2d": [60, 60, 70, 70], "label": "cat"}]'
        >>> presets = ("vision_r1_release_2025", "vision_r1_release_2026")
        >>> [score(text, target, preset, frame=(100, 100)).parts["precision"] for preset in presets]
        [1.0, 0.5]
    """
    if not len(answer.boxes) or not len(target.boxes):
        return _without_pairs(answer, target)
    count = len(match.giou) if denominator == "matched" else len(answer.boxes)
    return float(_differentiate(match.giou, stage.xi1, stage.xi2).sum() / np.float32(count))


def _check_denominator(*, denominator: str = "matched") -> None:
    if denominator not in ("matched", "predicted"):
        raise ValueError(f"denominator: expected matched or predicted, got {shown(denominator)}")


precision_reward.check_options = _check_denominator  # type: ignore[attr-defined]


def _without_pairs(answer: Answer, target: Target) -> float:
    """The releases raise on boxes for a negative sample; here they score 0."""
    return float(not len(answer.boxes) and not target.instances)


def _differentiate(value: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    kept = np.where(value < np.float32(low), np.float32(0), value)
    return np.where(kept > np.float32(high), np.float32(1), kept)


def _iou_giou(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """In float32 with the release's order of operations, so that a value equal to a threshold stays equal."""
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (first, second)]
    # Axis by axis: arrays of pairs of coordinates take several times as long.
    (left, top, right, bottom), others = _columns(first), _columns(second)
    zero = np.float32(0)
    intersection = np.maximum(np.minimum(right[:, None], others[2]) - np.maximum(left[:, None], others[0]), zero)
    intersection *= np.maximum(np.minimum(bottom[:, None], others[3]) - np.maximum(top[:, None], others[1]), zero)
    union = areas[0][:, None] + areas[1]
    union -= intersection
    hull = np.maximum(right[:, None], others[2]) - np.minimum(left[:, None], others[0])
    hull *= np.maximum(bottom[:, None], others[3]) - np.minimum(top[:, None], others[1])
    with np.errstate(all="ignore"):  # The release accepts target boxes without area.
        iou = intersection / union
        return iou, iou - (hull - union) / hull


def _distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """L1 distance of each two boxes, (N, M), summed in the order of the coordinates."""
    columns, others = _columns(first), _columns(second)
    distance: NDArray[np.float32] = np.abs(columns[0][:, None] - others[0])
    for column, other in zip(columns[1:], others[1:], strict=True):
        distance += np.abs(column[:, None] - other)
    return distance


def _columns(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """x1, y1, x2 and y2 of the boxes, (4, N)."""
    return np.ascontiguousarray(boxes.T)


def _without_fence(text: str) -> str:
    lines = text.splitlines()
    if lines and lines[0].startswith(FENCE + "json"):
        text = "\n".join(lines[1:])
    return text.split(FENCE)[0]


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _whole_numbers(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    try:
        numbers = [int(part) for part in value]
        return [float(number) for number in numbers] if numbers[0] < numbers[2] and numbers[1] < numbers[3] else None
    except (TypeError, ValueError, OverflowError):
        return None


def _format(completion: str) -> bool:
    text = FENCE_OF_FORMAT.sub("", completion).strip()
    try:
        document, end = decode_value(text)
    except (ValueError, RecursionError):
        return False
    if text[end:].strip(" \t\n\r"):
        return False
    items = document if isinstance(document, list) else []
    both = [item for item in items if isinstance(item, dict) and "bbox_2d" in item and "label" in item]
    return all(isinstance(item["bbox_2d"], list) and len(item["bbox_2d"]) == 4 for item in both)
