"""Progressive rule refinement: the thresholds at a training step.

The stage is a function of (step, total steps, stage reached). Without stages that wait it depends on the steps alone;
`readiness.Readiness` keeps the stage that a run has reached.

Source: Vision-R1 (arXiv 2503.18013), section 3.3 and its ablations.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.shown import shown

Value = TypeVar("Value", float, NDArray[np.float64])
SLACK: Final = 1e-9
"""Tolerance for rounding errors of frame conversion: an IoU equal to a threshold on paper must reach it here too."""

MAX_STEP: Final = 1_000_000_000

HINT_IOU: Final = 0.4
HINT: Final = 0.25
"""IoU and credit of a box that does not count yet, so that the way towards an object shows in the reward."""

FOUND: Final = 0.5
"""Credit of a true positive at `xi0`: with less, leaving one out could raise F1."""


@dataclass(frozen=True)
class Stage:
    """The thresholds of one stage, each in [0, 1].

    Attributes:
        xi0: IoU threshold of a true positive.
        xi1: Values below `xi1` are refined to 0.
        xi2: Values of at least `xi2` are refined to 1.
        at: Fraction of the training run at which the stage starts.
        at_step: First step of the stage; if given, it replaces `at`.
        precision_xi0: `xi0` for precision, if different (without refinement: 0).
        mean_iou: Mean IoU of the run's matches from which the stage starts before `at`; None for `at` alone.
        index: Position of the stage in its curriculum, from 0.
    """

    xi0: float
    xi1: float
    xi2: float
    at: float = 0.0
    at_step: int | None = None
    precision_xi0: float | None = None
    mean_iou: float | None = None
    index: int = 0

    def __post_init__(self) -> None:
        for name in ("xi0", "xi1", "xi2", "at", "precision_xi0", "mean_iou"):
            value = getattr(self, name)
            if value is None and name in ("precision_xi0", "mean_iou"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(
                    f"curriculum stage {self.index}: {name}: expected a number in [0, 1], got {shown(value)}"
                )
        if not self.xi2:
            raise ValueError(f"curriculum stage {self.index}: xi2: expected a number above 0, got {self.xi2!r}")
        if self.xi1 > self.xi2:
            raise ValueError(f"curriculum stage {self.index}: expected xi1 <= xi2, got {self.xi1} and {self.xi2}")
        if self.at_step is not None and (not isinstance(self.at_step, int) or not 0 <= self.at_step <= MAX_STEP):
            raise ValueError(f"curriculum stage {self.index}: at_step: expected a step, got {shown(self.at_step)}")

    def begin(self, total_steps: int) -> float:
        """Number of completed steps at which the stage starts, at the latest."""
        return self.at_step - 1 if self.at_step is not None else self.at * total_steps

    @functools.cached_property
    def credit_line(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """IoU and credit at the breakpoints of the piecewise linear function `credit`."""
        top = max(self.xi0, self.xi2)
        corners = {self.xi0: FOUND, top: 1.0, 0.0: 0.0}
        if self.xi0 > HINT_IOU:
            corners[HINT_IOU] = HINT
        return np.array(sorted(corners)), np.array([corners[iou] for iou in sorted(corners)])

    @property
    def least_iou_for_precision(self) -> float:
        """IoU threshold for precision."""
        return self.xi0 if self.precision_xi0 is None else self.precision_xi0


OFF: Final = Stage(xi0=0.5, xi1=0.0, xi2=1.0, precision_xi0=0.0)
"""No differentiation: raw values. The curriculum `beginner_only` differs: it keeps the beginner thresholds."""


@dataclass(frozen=True)
class Curriculum:
    """The stages of a training run, in order.

    Attributes:
        stages: At least one; the first starts with the training run.
        interpolation: `step`, or `linear` for linear interpolation of the thresholds from each stage to the next.
        validation: The stage of every validation: `last` or `first`.
        window: Number of last steps over which a stage with `mean_iou` takes the mean IoU of the matches.

    Example:
        >>> halfway = Curriculum((Stage(0.5, 0.5, 0.75), Stage(0.75, 0.75, 0.9, at=0.5, index=1)))
        >>> [halfway.stage(step, total_steps=10).index for step in (0, 1, 5, 6, 10)]
        [0, 0, 0, 1, 1]
    """

    stages: tuple[Stage, ...]
    interpolation: str = "step"
    validation: str = "last"
    window: int = 10

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("curriculum.stages: expected at least one stage, got none")
        if self.interpolation not in ("step", "linear"):
            raise ValueError(f"curriculum.interpolation: expected step or linear, got {shown(self.interpolation)}")
        if self.validation not in ("last", "first"):
            raise ValueError(f"curriculum.validation: expected last or first, got {shown(self.validation)}")
        if isinstance(self.window, bool) or not isinstance(self.window, int) or not 1 <= self.window <= MAX_STEP:
            raise ValueError(f"curriculum.window: expected a number of steps >= 1, got {shown(self.window)}")
        if self.waits:
            self._check_waiting()
        if self.stages[0].begin(1) > 0:
            first = self.stages[0]
            start = f"at={first.at}" if first.at_step is None else f"at_step={first.at_step}"
            raise ValueError(f"curriculum stage 0: expected to start with the training run (at=0), got {start}")
        for earlier, later in zip(self.stages, self.stages[1:], strict=False):
            # A fraction and a step can only be compared once the number of steps is known.
            key = "at" if earlier.at_step is None else "at_step"
            start, next_start = getattr(earlier, key), getattr(later, key)
            least = start if later.mean_iou is None else start - SLACK  # Stages that wait may share a latest start.
            if (later.at_step is None) == (earlier.at_step is None) and next_start <= least:
                raise ValueError(
                    f"curriculum stage {later.index}: expected {key} > {start} of the previous stage, got {next_start}"
                )

    def _check_waiting(self) -> None:
        if self.stages[0].mean_iou is not None:
            raise ValueError(
                "curriculum stage 0: mean_iou: expected no value, as the stage starts with the training run, got"
                f" {self.stages[0].mean_iou}"
            )
        if self.interpolation != "step":
            raise ValueError(
                f"curriculum.interpolation: expected step for stages with mean_iou, got {self.interpolation}"
            )

    @property
    def waits(self) -> bool:
        """Whether a stage waits for the run's mean IoU."""
        return any(stage.mean_iou is not None for stage in self.stages)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Curriculum":
        """Read the Hydra group `vision_r1/curriculum`.

        A stage with `mean_iou` and neither `at` nor `at_step` has no latest start.

        Raises:
            ValueError: A key is unknown or missing, or a value is out of range.
        """
        known = {"stages", "interpolation", "validation", "window"}
        if not isinstance(config, Mapping) or set(config) - known or not isinstance(config.get("stages"), list):
            raise ValueError(
                f"vision_r1.curriculum: expected a list of stages and the keys {sorted(known)}, got {shown(config)}"
            )
        fields = {"at", "at_step", "xi0", "xi1", "xi2", "precision_xi0", "mean_iou"}
        for index, stage in enumerate(config["stages"]):
            if not isinstance(stage, Mapping) or not {"xi0", "xi1", "xi2"} <= set(stage) <= fields:
                raise ValueError(
                    f"vision_r1.curriculum.stages[{index}]: expected keys of {sorted(fields)}, got {shown(stage)}"
                )
        stages = tuple(
            Stage(**({"at": 1.0} if "mean_iou" in stage and "at_step" not in stage else {}) | stage, index=index)
            for index, stage in enumerate(config["stages"])
        )
        return cls(stages, **{key: value for key, value in config.items() if key != "stages"})

    def stage(self, step: int, total_steps: int, reached: int = 0) -> Stage:
        """The stage at a step.

        Args:
            step: Training step, from 1; 0 is before the first.
            total_steps: Total training steps.
            reached: Index of the stage that the run has reached by its mean IoU, at most that of the last stage.
        """
        done = max(step - 1, 0)
        begun = [stage for stage in self.stages if done >= stage.begin(total_steps) - SLACK] or [self.stages[0]]
        stage = self.stages[max(begun[-1].index, min(reached, len(self.stages) - 1))]
        following = self.stages[stage.index + 1 : stage.index + 2]
        if self.interpolation == "step" or not following:
            return stage
        span = following[0].begin(total_steps) - stage.begin(total_steps)
        return _between(stage, following[0], (done - stage.begin(total_steps)) / span)

    def validation_stage(self) -> Stage:
        """The stage of every validation: constant, so that validation curves do not drop when the stage changes."""
        return self.stages[-1] if self.validation == "last" else self.stages[0]


def _between(first: Stage, second: Stage, fraction: float) -> Stage:
    mixed = {
        name: (1 - fraction) * getattr(first, name) + fraction * getattr(second, name)
        for name in ("xi0", "xi1", "xi2")
    }
    return replace(first, **mixed)


def refine(value: Value, stage: Stage) -> Value:
    """Differentiation: 0 below `xi1`, 1 from `xi2` on, the value itself in between.

    Args:
        value: A number in [0, 1], or an array of any shape.
        stage: The current thresholds.

    Returns:
        The refined value: a number, or an array of the same shape.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 8; a value equal to a threshold reaches it, as in the equation.

    Example:
        >>> refine(np.array([0.49, 0.5, 0.7, 0.75]), Stage(0.5, 0.5, 0.75)).tolist()
        [0.0, 0.5, 0.7, 1.0]
    """
    low, high = stage.xi1 - SLACK, stage.xi2 - SLACK
    if isinstance(value, float):
        return 0.0 if value < low else 1.0 if value >= high else value
    if low <= 0 and high >= 1 - SLACK:
        return value
    return np.where(value >= high, 1.0, value * (value >= low))


def credit(iou: NDArray[np.float64], stage: Stage) -> NDArray[np.float64]:
    """Credit of a matched box: a continuous alternative to `refine`.

    Piecewise linear: 0 at IoU 0, 1/4 at IoU 0.4 where `xi0` lies above it, 1/2 at `xi0`, 1 at `xi2`. It is monotonic,
    so within a stage a better box never has less credit. `xi1` is not used.

    Args:
        iou: IoU in [0, 1], of any shape.
        stage: The current thresholds.

    Returns:
        Credit in [0, 1], of the same shape.

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 8.

    Example:
        >>> credit(np.array([0.25, 0.5, 0.625, 0.75, 1.0]), Stage(0.5, 0.5, 0.75)).round(3).tolist()
        [0.156, 0.5, 0.75, 1.0, 1.0]
    """
    return np.interp(iou, *stage.credit_line)
