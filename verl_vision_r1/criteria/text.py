"""Answers that are text."""

from verl_vision_r1.answers import Answer
from verl_vision_r1.matching import Match
from verl_vision_r1.refinement import Stage
from verl_vision_r1.targets import Target


def accuracy(answer: Answer, target: Target, match: Match, stage: Stage) -> float:
    """1 if the answer is the label, spaces, underscores and case aside, else 0. A part of a label is not the label.

    Returns:
        0.0 or 1.0.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, R_acc; the normalisation is the released code's.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([], ["garden phlox"], width=100, height=100, task="classification")
        >>> text = "<think></think><answer>{}</answer>"
        >>> [score(text.format(name), target, "visual_rft").parts["accuracy"] for name in ("Garden_Phlox", "phlox")]
        [1.0, 0.0]
    """
    return float(any(joined(answer.content) == joined(label) for label in target.labels))


def joined(label: str) -> str:
    """A class name without spaces and underscores, in lower case.

    Example:
        >>> joined("Cessna_172 S")
        'cessna172s'
    """
    return label.replace(" ", "").replace("_", "").lower()
