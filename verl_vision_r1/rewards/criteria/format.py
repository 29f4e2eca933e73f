"""Whether the completion has the demanded form."""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def well_formed(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if the whole completion is one fenced or bare JSON list of proper items, else 0.

    The parser decides it: it knows the text and the frame that the model answers in. Boxes must lie within that frame,
    in its units. An empty list is well-formed.

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
