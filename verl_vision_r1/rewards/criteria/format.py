"""Format of the completion."""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def well_formed(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if the whole completion has the required format, else 0.

    The parser decides it. For `json_boxes`: one fenced or bare JSON list of valid items, with all boxes inside the
    frame and in its units. An empty list is well-formed.

    Returns:
        0.0 or 1.0.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 4.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([[0, 0, 50, 50]], ["cat"], width=100, height=100)
        >>> [score(text, target).parts["format"] for text in ("[]", "no cat here")]
        [1.0, 0.0]
    """
    return float(answer.well_formed)
