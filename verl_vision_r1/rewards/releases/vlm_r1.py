"""VLM-R1's detection rewards as released: `od_ap`, `odLength` and `weighted_sum`.

Source: om-ai-lab/VLM-R1, `src/open-r1-multimodal/src/open_r1/grpo_jsonl.py` (2025-09-24). A completion has a fenced
JSON list between answer tags; predictions and ground truth are in the same frame. The ground truth is parsed from the
sample's reference answer (`Target.solution`) as in the release; without one, the target itself is used.
"""

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.frames import Size, in_axes_of, to_frame
from verl_vision_r1.rewards.answers.answer import Answer, fit
from verl_vision_r1.rewards.answers.json_boxes import write_json_boxes
from verl_vision_r1.rewards.answers.json_search import as_float
from verl_vision_r1.rewards.answers.spans import spans
from verl_vision_r1.rewards.answers.tagged import CLOSING, OPENING, answer_content, has_form
from verl_vision_r1.rewards.criteria.sample_ap import THRESHOLDS, sample_ap
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target

FENCE: Final = ("```json", "```")
EMPTY: Final = "None"
"""The answer for a negative sample."""


def parse(completion: str, frame: Size) -> Answer:
    """Parse the last fenced list of the last answer.

    Returns:
        The parsed completion: items with a box of four numbers, and the number of malformed items. `well_formed` means
        a thinking and an answer block.

    Example:
        >>> text = '<answer>```json[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, 7]```</answer>'
        >>> answer = parse(text, (100, 100))
        >>> answer.boxes.tolist(), answer.labels, answer.malformed
        ([[1.0, 2.0, 30.0, 40.0]], ('cat',), 1)
    """
    items = _last_list(_last_answer(completion) or "")
    read = [(item["bbox_2d"], item.get("label")) for item in items if _has_box(item)]
    rows = [[as_float(part) for part in box[:4]] for box, _ in read]
    boxes, outside = fit(np.array(rows, dtype=np.float64).reshape(-1, 4), frame)
    return Answer(
        boxes=boxes,
        labels=tuple(label if isinstance(label, str) else None for _, label in read),
        well_formed=has_form(completion),
        parsed=_last_answer(completion) is not None,
        out_of_frame=outside,
        malformed=len(items) - len(read),
        text=completion,
        frame=frame,
    )


def average_precision(
    answer: Answer, target: Target, match: Match, stage: Stage, *, iou: float | None = None, length: bool = False
) -> float:
    """COCO AP of the completion, with confidence 1 for all predictions and case-sensitive labels.

    Args:
        answer: The output of `parse`.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        iou: A single threshold, such as 0.5; by default the mean over 0.50, 0.55, ... 0.95.
        length: Whether to multiply by M / N if there are more items than objects (`odLength`).

    Returns:
        A number in [0, 1]; -1 if COCO ignores all ground-truth boxes.

    Source:
        `od_reward` and `odLength_reward`.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> item = '{"bbox_2d": [0, 0, 50, 50], "label": "cat"}'
        >>> text = f"<answer>```json[{item}, {item}]```</answer>"
        >>> [round(score(text, target, f"vlm_r1_od_{name}").total, 3) for name in ("ap", "length")]
        [1.0, 0.5]
    """
    content, true = _last_answer(answer.text), answer_content(_solution(target, answer))
    if content is None:
        return 0.0
    if content == EMPTY and true == EMPTY:
        return 1.0
    predicted, objects = _last_list(content), _last_list(true or "")
    if not predicted or not objects:
        return float(not predicted and not objects)
    thresholds = THRESHOLDS if iou is None else np.array([iou])
    value = _sample_ap(predicted, objects, thresholds)
    return value * min(1.0, len(objects) / len(predicted)) if length else value


def weighted_sum(
    answer: Answer, target: Target, match: Match, stage: Stage, *, iou: float = 0.5, position: float = 0.7
) -> float:
    """Weighted sum of the matched IoU divided by M, and of the completeness of the matching.

    Boxes are matched greedily in descending IoU, down to a threshold. A match with different labels counts 0 in the
    first term, but as complete in the second.

    Args:
        answer: The output of `parse`.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        iou: IoU threshold of a match, inclusive.
        position: Weight of the first term; the second has weight 1 - position.

    Returns:
        A number in [0, 1].

    Source:
        `detection_score`, on the output of `clean_text`: in lower case, without line breaks.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = '<answer>```json[{"bbox_2d": [0, 0, 50, 25], "label": "CAT"}]```</answer>'
        >>> round(score(text, target, "vlm_r1_weighted").total, 3)
        0.65
    """
    content, true = _clean(answer.text), _clean(_solution(target, answer))
    if true == EMPTY.lower():
        return float(content == EMPTY.lower())
    predicted, objects = _first_list(_clean(content)), _first_list(_clean(true))
    if not predicted or not objects:
        return float(not predicted and not objects)
    # A malformed item has IoU 0 with every object: it can only be matched where that is enough.
    predicted_boxes, true_boxes = (
        [item for item in items if iou <= 0 or _has_box(item)] for items in (predicted, objects)
    )
    overlap = _overlaps(predicted_boxes, true_boxes)
    rows, columns = _greedy_pairs(overlap, iou)
    same = _labels_agree([predicted_boxes[row] for row in rows], [true_boxes[column] for column in columns])
    place = float((overlap[rows, columns] * same).sum()) / len(objects)
    missed, surplus = 1 - len(columns) / len(objects), 1 - len(rows) / len(predicted)
    return position * place + (1 - position) * (1 - (missed + surplus) / 2)


def _sample_ap(predicted: list[Any], objects: list[Any], thresholds: NDArray[np.float64]) -> float:
    """As the release, ignore items that are not a box with a label of the image; 0 if no item is left."""
    true = [item for item in objects if _has_box(item) and isinstance(item.get("label"), str)]
    names = {item["label"] for item in true}
    kept = [item for item in predicted if _has_box(item) and isinstance(item.get("label"), str)]
    kept = [item for item in kept if item["label"] in names]
    if not kept:
        return 0.0
    boxes = [np.array([[as_float(part) for part in item["bbox_2d"][:4]] for item in items]) for items in (kept, true)]
    with np.errstate(all="ignore"):
        return sample_ap(boxes[0], [i["label"] for i in kept], boxes[1], [i["label"] for i in true], thresholds)


def _overlaps(predicted: list[Any], objects: list[Any]) -> NDArray[np.float64]:
    """Pairwise IoU, 0 for malformed items; an overlap of one unit or less along an axis counts as none."""
    first, second = (np.array([_four(item) for item in items]).reshape(-1, 4).T for items in (predicted, objects))
    with np.errstate(all="ignore"):
        # Axis by axis: arrays of pairs of coordinates take several times as long.
        width, height = (
            np.minimum(first[axis + 2][:, None], second[axis + 2]) - np.maximum(first[axis][:, None], second[axis])
            for axis in (0, 1)
        )
        intersection = np.where((width > 1) & (height > 1), width * height, 0.0)
        areas = [(boxes[2] - boxes[0]) * (boxes[3] - boxes[1]) for boxes in (first, second)]
        overlap: NDArray[np.float64] = intersection / (areas[0][:, None] + areas[1] - intersection)
    return np.nan_to_num(overlap, copy=False, posinf=0.0, neginf=0.0)


def _greedy_pairs(overlap: NDArray[np.float64], least: float) -> tuple[list[int], list[int]]:
    """Matches in descending IoU, ties in order of row and column; each row and column at most once."""
    flat = np.flatnonzero(overlap.ravel() >= least)
    flat = flat[np.argsort(-overlap.ravel()[flat], kind="stable")]
    rows: dict[int, int] = {}
    columns: set[int] = set()
    for place in flat.tolist():
        row, column = divmod(place, overlap.shape[1])
        if row not in rows and column not in columns:
            rows[row] = column
            columns.add(column)
            if len(rows) == min(overlap.shape):
                break
    return list(rows), list(rows.values())


def _labels_agree(predicted: list[Any], objects: list[Any]) -> NDArray[np.float64]:
    """Whether the labels of each match agree; as in the release, a missing label is that of the previous match."""
    agree, label = [], ""
    for item, true in zip(predicted, objects, strict=True):
        label = _label(item, label)
        agree.append(float(label == _label(true, "")))
    return np.array(agree)


def _label(item: Any, default: str) -> str:
    label = item.get("label") if isinstance(item, dict) else None
    return label.lower() if isinstance(label, str) else default


def _last_answer(text: str) -> str | None:
    found = list(spans(text, OPENING, CLOSING))
    return found[-1].strip() if found else None


def _clean(text: str) -> str:
    """The last answer, or the whole text, on one line, in lower case, without a full stop at the end."""
    found = list(spans(text, OPENING, CLOSING))
    text = found[-1] if found else text
    for end in ("\n", "\r"):
        *lines, last = text.split(end)
        joints = ("" if line[-1:].isspace() or (not line and place) else " " for place, line in enumerate(lines))
        text = "".join(line + joint for line, joint in zip(lines, joints, strict=True)) + last
    return text.strip().rstrip(".").lower()


def _last_list(text: str) -> list[Any]:
    found = list(spans(text, *FENCE))
    return _load(found[-1]) if found else []


def _first_list(text: str) -> list[Any]:
    return _load(next(spans(text, *FENCE), "[]"))


def _load(text: str) -> list[Any]:
    """What the release iterates over: the items of a list, the keys of an object or the characters of a string."""
    try:
        document = json.loads(text.strip())
    except (ValueError, RecursionError):
        return []
    return list(document) if isinstance(document, list | dict | str) else []


def _has_box(item: Any) -> bool:
    box = item.get("bbox_2d") if isinstance(item, dict) else None
    return isinstance(box, list) and len(box) >= 4 and all(isinstance(part, int | float) for part in box[:4])


def _four(item: Any) -> list[float]:
    return [as_float(part) for part in item["bbox_2d"][:4]] if _has_box(item) else [np.nan] * 4


def _solution(target: Target, answer: Answer) -> str:
    """The reference answer, or else the target's boxes in the frame of the completion, which the release compares."""
    if target.solution is not None:
        return target.solution
    boxes = to_frame(target.boxes, (target.width, target.height), answer.frame)
    return f"<answer>{write_json_boxes(in_axes_of(answer.frame, boxes), target.labels)}</answer>"
