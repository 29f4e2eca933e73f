"""Answers that are text."""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def accuracy(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0) -> float:
    """1 if the answer is the label, spaces, underscores and case aside, else 0. A part of a label is not the label.

    Args:
        answer: The answer, a text.
        target: The ground truth; its label is the class.
        match: Has no part in it.
        stage: Has no part in it.
        save: What a right answer is worth that is not well-formed, in [0, 1].

    Returns:
        0, `save` or 1.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, R_acc; the normalisation is the released code's.

    Example:
        >>> from verl_vision_r1 import score
        >>> target = Target([], ["garden phlox"], width=100, height=100, task="classification")
        >>> text = "<think></think><answer>{}</answer>"
        >>> [score(text.format(name), target, "visual_rft").parts["accuracy"] for name in ("Garden_Phlox", "phlox")]
        [1.0, 0.0]
    """
    right = any(joined(answer.content) == joined(label) for label in target.labels)
    return float(right) * (1.0 if answer.well_formed else save)


def joined(label: str) -> str:
    """A class name without spaces and underscores, in lower case.

    Example:
        >>> joined("Cessna_172 S")
        'cessna172s'
    """
    return label.replace(" ", "").replace("_", "").lower()
