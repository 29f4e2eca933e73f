"""Refusal: whether a completion predicts explicitly nothing, which is correct for a negative sample alone."""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.criteria.overlap import is_explicitly_empty


def refused(answer: Answer, task: str) -> bool:
    """Whether a completion is a refusal: an empty list of boxes or points, or the number 0 of a count.

    A malformed completion is no refusal: one that could not be parsed, that ends inside its list, or whose items are
    no boxes. A class cannot be refused.

    Args:
        answer: The parsed completion.
        task: The task of its target, one of `targets.TASKS`.

    Example:
        >>> from verl_vision_r1.rewards.answers import parse_json_boxes
        >>> texts = ("[]", '[{"bbox_2d": null}]', "There is no dog.")
        >>> [refused(parse_json_boxes(text, (1000, 1000)), "grounding") for text in texts]
        [True, False, False]
    """
    if task == "classification":
        return False
    if task == "counting":
        return answer.content.isdecimal() and int(answer.content[:20]) == 0
    return bool(is_explicitly_empty(answer)) and not answer.truncated
