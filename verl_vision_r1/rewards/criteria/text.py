"""Accuracy of a class name."""

from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.matching import Match
from verl_vision_r1.rewards.options import check_fraction
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.targets import Target


def accuracy(answer: Answer, target: Target, match: Match, stage: Stage, *, save: float = 1.0) -> float:
    """1 if the predicted class equals the label, ignoring spaces, underscores and case, else 0.

    A substring of the label does not count.

    Args:
        answer: The parsed completion, a text.
        target: The ground truth; its label is the class.
        match: Unused.
        stage: Unused.
        save: Score of a correct class in a completion that is not well-formed, in [0, 1].

    Returns:
        0, `save` or 1.

    Source:
        Visual-RFT (arXiv 2503.01785), section 3.2, R_acc; the normalisation is that of the released code.

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
    """A class name in lower case, without spaces and underscores.

    Example:
        >>> joined("Cessna_172 S")
        'cessna172s'
    """
    return label.replace(" ", "").replace("_", "").lower()


accuracy.check_options = check_fraction  # type: ignore[attr-defined]
