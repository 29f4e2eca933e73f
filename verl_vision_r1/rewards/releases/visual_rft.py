"""Visual-RFT as released: detection, classification and reasoning grounding (LISA).

Source: Liuziyu77/Visual-RFT, `src/virft/src/open_r1/{grpo,grpo_classification,grpo_lisa}.py` (2025-05-21).
The ground truth is parsed from the sample's reference answer (`Target.solution`) as in the release; without one, the
target itself is used. The release first compares the two texts with math-verify and gives the full reward if they are
equal, which for detection means that y1 of the first box is correct. Here this is an option, off by default.
"""

import functools
import importlib.util
import json
import math
import multiprocessing
import re
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes, pairwise_iou
from verl_vision_r1.frames import Size, to_frame
from verl_vision_r1.rewards.answers.answer import Answer, fit
from verl_vision_r1.rewards.answers.json_search import as_float
from verl_vision_r1.rewards.answers.spans import first_on_one_line
from verl_vision_r1.rewards.answers.tagged import CLOSING, OPENING, answer_content, has_form
from verl_vision_r1.rewards.criteria.text import joined
from verl_vision_r1.rewards.matching import NO_PAIRS, Match, boxes_in_pixels, greedy_match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target

CORNERS: Final = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*,\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)")
IOU_ABOVE: Final = 0.5
NO_BOX: Final = (math.nan,) * 4
"""Placeholder for an invalid position: the release fails on one only when it compares it."""


def parse_text(completion: str, frame: Size) -> Answer:
    """Parse the text of the first `<answer>` on a single line, else the whole completion.

    Example:
        >>> parse_text("<think>a</think> <answer> rose </answer>", (1000, 1000)).content
        'rose'
    """
    return Answer(
        content=_one_line(completion),
        well_formed=has_form(completion),
        parsed=OPENING in completion,
        text=completion,
        frame=frame,
    )


def parse_boxes(completion: str, frame: Size) -> Answer:
    """Parse the release's list of `{'Position': [...], 'Confidence': c}`: one line, end repaired, duplicates dropped.

    Returns:
        The parsed completion; its boxes are in units of `frame` (NaN for an invalid position), its confidences as
        written. `parsed` is False if the release rejects the completion.

    Example:
        >>> text = "<answer>[{'Position': [1, 2, 30, 40], 'Confidence': 7}, {'Position': [</answer>"
        >>> parse_boxes(text, (1000, 1000)).confidences.tolist()
        [7.0]
    """
    content = f"{OPENING}{_one_line(completion)}{CLOSING}"
    items = _first_of_each_position(_load(content.replace("[[", "[").replace("]]", "]").replace("\n", "")))
    boxes, outside = fit(_boxes(items or []), frame)
    return Answer(
        boxes=boxes,
        confidences=np.array([as_float(item["Confidence"]) for item in items or []], dtype=np.float64),
        well_formed=has_form(completion),
        parsed=items is not None,
        out_of_frame=outside,
        text=completion,
        frame=frame,
    )


def match_boxes(answer: Answer, target: Target, stage: Stage) -> Match:
    """In descending confidence, each prediction takes the unmatched target box with the highest IoU, if above 0.5.

    Returns:
        The matches; none if the release fails on an invalid position.

    Example:
        >>> from verl_vision_r1.rewards.refinement import OFF
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> answer = parse_boxes("<answer>[{'Position': [0, 0, 500, 400], 'Confidence': 1}]</answer>", (1000, 1000))
        >>> match_boxes(answer, target, OFF).iou.tolist()
        [0.8]
    """
    true = _reference_boxes(target, answer.frame)
    if true is None or not len(true) or not len(answer.boxes) or answer.confidences is None:
        return NO_PAIRS
    order = sorted(range(len(answer.boxes)), key=(-answer.confidences).tolist().__getitem__)
    with np.errstate(all="ignore"):
        iou = np.nan_to_num(pairwise_iou(boxes_in_pixels(answer, target), true))
    match = greedy_match(iou, np.array(order, np.intp), IOU_ABOVE)
    compared = order if len(match.target) < len(true) else order[: order.index(match.predicted[-1])]
    return NO_PAIRS if _invalid(answer)[compared].any() else match


def iou_reward(answer: Answer, target: Target, match: Match, stage: Stage, *, math_verify: bool = False) -> float:
    """Sum of the matched IoU, divided by max(N, M).

    Args:
        answer: The output of `parse_boxes`.
        target: The ground truth.
        match: Matches of `match_boxes`.
        stage: Unused.
        math_verify: Whether to compare the texts with math-verify first, as the release does.

    Returns:
        A number in [0, 1].

    Source:
        `accuracy_reward_iou`. The paper divides by N, the number of predictions.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50], [60, 60, 90, 90]], ["cat", "cat"], width=100, height=100)
        >>> text = "<think></think><answer>[{'Position': [0, 0, 500, 500], 'Confidence': 1}]</answer>"
        >>> score(text, target, "visual_rft_release").parts["iou"]
        0.5
    """
    if math_verify and _verified(answer, target):
        return 1.0
    true = _reference_boxes(target, answer.frame)
    if true is None or not len(answer.boxes) or _release_fails(answer, match, len(true)):
        return 0.0
    return min(float(match.iou.sum()) / max(len(true), len(answer.boxes)), 1.0)


def confidence_reward(
    answer: Answer, target: Target, match: Match, stage: Stage, *, math_verify: bool = False
) -> float:
    """Mean over all predictions of the confidence c if matched, and of 1 - c if not, clipped to [0, 1] at the end.

    Args:
        answer: The output of `parse_boxes`.
        target: The ground truth.
        match: Matches of `match_boxes`.
        stage: Unused.
        math_verify: Whether to compare the texts with math-verify first, as the release does.

    Returns:
        A number in [0, 1]; 0 if the release returns NaN.

    Source:
        `accuracy_reward_confidence`.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> text = "<think></think><answer>[{'Position': [0, 0, 500, 500], 'Confidence': 7}]</answer>"
        >>> score(text, target, "visual_rft_release").parts["confidence"]
        1.0
    """
    if math_verify and _verified(answer, target):
        return 1.0
    true = _reference_boxes(target, answer.frame)
    if true is None or not len(answer.boxes) or answer.confidences is None:
        return 0.0
    if _release_fails(answer, match, len(true)):
        return 0.0
    scores = 1.0 - answer.confidences
    scores[match.predicted] = answer.confidences[match.predicted]
    with np.errstate(invalid="ignore"):
        mean = float(scores.mean())
    return 0.0 if math.isnan(mean) else min(max(mean, 0.0), 1.0)


def accuracy_reward(answer: Answer, target: Target, match: Match, stage: Stage, *, math_verify: bool = False) -> float:
    """1 if the predicted class contains the label or the label contains it (so also if it is empty), else 0.

    Args:
        answer: The output of `parse_text`.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        math_verify: Whether to compare the texts with math-verify first, as the release does.

    Returns:
        0.0 or 1.0.

    Source:
        `accuracy_reward` of the classification script.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([], ["garden phlox"], width=100, height=100, task="classification")
        >>> score("<think></think><answer></answer>", target, "visual_rft_release").parts["accuracy"]
        1.0
    """
    if math_verify and _verified(answer, target):
        return 1.0
    predicted, label = joined(answer.content), joined(_one_line(_solution(target)))
    return float(label in predicted or predicted in label)


def grounding_reward(
    answer: Answer, target: Target, match: Match, stage: Stage, *, math_verify: bool = False
) -> float:
    """GIoU of the two boxes plus 1, or 2 if the texts are equal; the release mixes the first two of several boxes.

    Args:
        answer: The output of `parse_text`.
        target: The ground truth.
        match: Unused.
        stage: Unused.
        math_verify: Whether to compare the texts with math-verify first, as the release does.

    Returns:
        A number, intended to be in [0, 2]; unbounded for inverted boxes.

    Source:
        `accuracy_reward` of the LISA script. The paper uses IoU.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["the cat"], width=100, height=100, task="grounding")
        >>> score("<think></think><answer>(0,0),(500,250)</answer>", target, "visual_rft_release").parts["iou"]
        1.5
    """
    if math_verify and _verified(answer, target):
        return 1.0
    predicted, true = _any_lines(answer.text), _any_lines(_solution(target))
    if predicted == true:
        return 2.0
    boxes = [_corners(predicted), _corners(true)]
    return 0.0 if None in boxes else _giou(*boxes) + 1.0  # type: ignore[arg-type]


def _one_line(text: str) -> str:
    """The first answer on a single line, else the whole text."""
    found = first_on_one_line(text, OPENING, CLOSING)
    return (text if found is None else found).strip()


def _any_lines(text: str) -> str:
    """The first answer, else the whole text."""
    found = answer_content(text)
    return text.strip() if found is None else found


def _load(text: str) -> Any:
    """The value between the tags, with its end repaired and its quotes replaced by JSON's; None if that fails."""
    start, end = text.find(OPENING), text.find(CLOSING)
    if start < 0:
        return None
    content = text[start + len(OPENING) : len(text) if end < 0 else end]
    if not content.endswith("]"):
        content = content.rsplit("},", 1)[0] + "}]"
    try:
        return json.loads(content.replace("'", '"'))
    except (ValueError, RecursionError):
        return None


def _first_of_each_position(items: Any) -> list[dict[str, Any]] | None:
    """The items without duplicate positions; None if the release rejects the whole completion."""
    try:
        if not isinstance(items[0], dict):
            return None
        kept = {tuple(item["Position"]): item for item in reversed(items)}
        unique = [item for item in items if kept[tuple(item["Position"])] is item]
        return unique if all(isinstance(item["Confidence"], int | float) for item in unique) else None
    except (TypeError, KeyError, IndexError):
        return None


def _boxes(items: list[Any]) -> Boxes:
    return np.array([_box(item["Position"]) for item in items], dtype=np.float64).reshape(-1, 4)


def _box(position: Any) -> list[float]:
    if isinstance(position, str) or len(position) != 4 or not all(isinstance(part, int | float) for part in position):
        return list(NO_BOX)
    numbers = [as_float(part) for part in position]
    return [0.0] * 4 if any(map(math.isnan, numbers)) else numbers


def _invalid(answer: Answer) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(answer.boxes).any(axis=1))


def _release_fails(answer: Answer, match: Match, count: int) -> bool:
    """Whether the release compares an invalid position, which it does while a target box is unmatched."""
    return len(match.target) < count and bool(_invalid(answer).any())


def _reference_boxes(target: Target, frame: Size) -> Boxes | None:
    """The target boxes in original-image pixels, parsed as in the release; None if it cannot parse its reference."""
    if target.solution is None:
        return target.boxes
    items = _load(target.solution)
    try:
        boxes = fit(_boxes(items), (frame[0], frame[1]))[0]  # The reference is `xyxy` in every frame.
    except (TypeError, KeyError):
        return None
    return to_frame(boxes, frame, (target.width, target.height))


def _solution(target: Target) -> str:
    """The reference answer; if the sample has none, one written from the target, without the tags."""
    if target.solution is not None:
        return target.solution
    if not len(target.boxes):
        return "".join(target.labels)
    x1, y1, x2, y2 = to_frame(target.boxes[:1], (target.width, target.height), (1000, 1000))[0].astype(int).tolist()
    return f"({x1},{y1}),({x2},{y2})"


def _corners(text: str) -> tuple[float, float, float, float] | None:
    found = CORNERS.findall(text)
    if not found:
        return None
    x1, y1, x2, y2 = found[0] if len(found) == 1 else (*found[0][:2], *found[1][:2])
    try:
        return int(x1) / 1000, int(y1) / 1000, int(x2) / 1000, int(y2) / 1000
    except (ValueError, OverflowError):
        return None


def _giou(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """GIoU without checking the order of the corners: two inverted sides give a positive area."""
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - width * height
    iou = width * height / union if union > 0 else 0.0
    hull = (max(first[2], second[2]) - min(first[0], second[0])) * (
        max(first[3], second[3]) - min(first[1], second[1])
    )
    value = iou - (hull - union) / hull if hull > 0 else iou
    return value if math.isfinite(value) else -1.0


def _verified(answer: Answer, target: Target) -> bool:
    """Whether math-verify considers completion and reference the same mathematical expression.

    math-verify sets its timeout by a signal, which works only in the main thread; other threads use a process.
    """
    texts = answer.text, _solution(target)
    if threading.current_thread() is threading.main_thread():
        return _same_expression(*texts)
    return _process().submit(_same_expression, *texts).result()


@functools.cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _same_expression(text: str, solution: str) -> bool:
    from math_verify import parse, verify

    try:
        return float(verify(parse(text), parse(solution))) > 0
    except Exception:  # As in the release: any exception means False.
        return False


def check_options(*, math_verify: bool = False) -> None:
    """Check the options when the configuration is read.

    Raises:
        ValueError: `math_verify` is true and the package math-verify is not installed.
    """
    if math_verify and importlib.util.find_spec("math_verify") is None:
        raise ValueError(
            "math_verify=true: expected the package math-verify, got none installed."
            " To do: pip install 'math-verify[antlr4-9-3]'"
        )


for _criterion in (iou_reward, confidence_reward, accuracy_reward, grounding_reward):
    _criterion.check_options = check_options  # type: ignore[attr-defined]
