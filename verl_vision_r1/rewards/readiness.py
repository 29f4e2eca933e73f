"""The stage that a run has reached: a curriculum whose stages wait for the run's own mean IoU.

The trainer keeps one `Readiness`, shows it every step, and saves it with the checkpoint. The stage that it has reached
goes with every batch to the reward workers, so that all of them score under the same thresholds.

Source: this project; the stages are those of Vision-R1 (arXiv 2503.18013), section 3.3.
"""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from verl_vision_r1.rewards.refinement import SLACK, Curriculum
from verl_vision_r1.shown import shown


class Readiness:
    """The progress of a run through its curriculum.

    Attributes:
        curriculum: The curriculum.
        total_steps: Total training steps.
        reached: Index of the stage reached; it never falls.
        recent: Mean IoU of the matches in the last steps, at most `curriculum.window` of them.

    Example:
        >>> from verl_vision_r1.rewards.refinement import Stage
        >>> waiting = (Stage(0.5, 0.5, 0.75), Stage(0.75, 0.75, 0.9, at=0.8, mean_iou=0.7, index=1))
        >>> readiness = Readiness(Curriculum(waiting, window=2), total_steps=10)
        >>> for step, mean_iou in enumerate((0.6, 0.7, 0.7), start=1):
        ...     readiness.observe(step, mean_iou)
        ...     print(step, readiness.reached)
        1 0
        2 0
        3 1
    """

    def __init__(self, curriculum: Curriculum, total_steps: int) -> None:
        self.curriculum = curriculum
        self.total_steps = total_steps
        self.reached = 0
        self.recent: list[float] = []

    def observe(self, step: int, mean_iou: float) -> None:
        """Take a completed step into account; a stage that has become ready starts with the next step.

        Args:
            step: The step, from 1.
            mean_iou: Mean IoU of its matches, in [0, 1].
        """
        current = self.curriculum.stage(step, self.total_steps, self.reached).index
        self.recent = [*self.recent, mean_iou][-self.curriculum.window :]
        self.reached = current + self._ready_for(current + 1)

    def _ready_for(self, index: int) -> bool:
        if index == len(self.curriculum.stages) or len(self.recent) < self.curriculum.window:
            return False
        wanted = self.curriculum.stages[index].mean_iou
        return wanted is not None and fmean(self.recent) >= wanted - SLACK

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint, as plain JSON."""
        return {"reached": self.reached, "recent": self.recent}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: The state is not one of `state_dict`.
        """
        try:
            reached, recent = int(state["reached"]), [float(value) for value in state["recent"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected the keys reached and recent, got {shown(state)}") from error
        self.reached = min(max(reached, 0), len(self.curriculum.stages) - 1)
        self.recent = recent[-self.curriculum.window :]


def mean_iou_of_matches(extras: Iterable[Mapping[str, float | str]]) -> float:
    """Mean IoU over all matches of a step.

    Args:
        extras: The scores of each sample, with `mean_iou` and `matched_boxes`.

    Returns:
        A number in [0, 1]; 0 without matches.

    Example:
        >>> mean_iou_of_matches([{"mean_iou": 0.9, "matched_boxes": 3.0}, {"mean_iou": 0.5, "matched_boxes": 1.0}])
        0.8
    """
    pairs = [(float(extra.get("mean_iou", 0.0)), float(extra.get("matched_boxes", 0.0))) for extra in extras]
    matches = sum(count for _, count in pairs)
    return round(sum(iou * count for iou, count in pairs) / matches, 12) if matches else 0.0
