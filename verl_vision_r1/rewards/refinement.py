"""Progressive rule refinement: which thresholds are in force at a step of the training.

A stage is a pure function of (step, total steps). Nothing is stored, so a resumed run is in the right stage.

Source: Vision-R1 (arXiv 2503.18013), section 3.3 and its ablations.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", float, NDArray[np.float64])
SLACK: Final = 1e-9
"""Scaling between frames costs a few last bits; an overlap that is a threshold on paper must reach it here too."""

HINT: Final = 0.1
"""Credit of a box whose IoU is just `xi0`: a box that does not count yet is told where better lies."""


@dataclass(frozen=True)
class Stage:
    """The thresholds in force, each in [0, 1].

    Attributes:
        xi0: Least IoU of a matched pair that counts as found.
        xi1: Below it, a value is refined to 0.
        xi2: From it on, a value is refined to 1.
        at: Fraction of the training from which the stage holds.
        at_step: The first step in which it holds; where given, it replaces `at`.
        precision_xi0: `xi0` for precision, where it is another one (refinement off: 0).
        index: Place of the stage in its curriculum, from 0.
    """

    xi0: float
    xi1: float
    xi2: float
    at: float = 0.0
    at_step: int | None = None
    precision_xi0: float | None = None
    index: int = 0

    def __post_init__(self) -> None:
        for name in ("xi0", "xi1", "xi2", "at", "precision_xi0"):
            value = getattr(self, name)
            if value is None and name == "precision_xi0":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"curriculum stage {self.index}: {name}: expected a number in [0, 1], got {value!r}")
        if self.xi1 > self.xi2:
            raise ValueError(f"curriculum stage {self.index}: expected xi1 <= xi2, got {self.xi1} and {self.xi2}")
        if self.at_step is not None and (not isinstance(self.at_step, int) or self.at_step < 0):
            raise ValueError(f"curriculum stage {self.index}: at_step: expected a step, got {self.at_step!r}")

    def begin(self, total_steps: int) -> float:
        """Steps that are over when the stage begins."""
        return self.at_step - 1 if self.at_step is not None else self.at * total_steps

    @functools.cached_property
    def credit_line(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The IoU and the credit at the corners of the line that `credit` follows."""
        top = max(self.xi0, self.xi2)
        hint = min(HINT, self.xi0 / top) if top > 0 else 1.0
        return np.array([0.0, self.xi0, top]), np.array([0.0, hint, 1.0])

    @property
    def least_iou_for_precision(self) -> float:
        """`xi0` as precision uses it."""
        return self.xi0 if self.precision_xi0 is None else self.precision_xi0


OFF: Final = Stage(xi0=0.5, xi1=0.0, xi2=1.0, precision_xi0=0.0)
"""No differentiation at all: raw values. Not the same as `beginner_only`, which keeps the beginner's thresholds."""


@dataclass(frozen=True)
class Curriculum:
    """Stages in the order in which they come into force.

    Attributes:
        stages: At least one; the first begins with the training.
        interpolation: `step`, or `linear` for thresholds that move linearly from each stage to the next.
        validation: The stage that validation uses throughout: `last` or `first`.

    Example:
        >>> halfway = Curriculum((Stage(0.5, 0.5, 0.75), Stage(0.75, 0.75, 0.9, at=0.5, index=1)))
        >>> [halfway.stage(step, total_steps=10).index for step in (0, 1, 5, 6, 10)]
        [0, 0, 0, 1, 1]
    """

    stages: tuple[Stage, ...]
    interpolation: str = "step"
    validation: str = "last"

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("curriculum.stages: expected at least one stage, got none")
        if self.interpolation not in ("step", "linear"):
            raise ValueError(f"curriculum.interpolation: expected step or linear, got {self.interpolation!r}")
        if self.validation not in ("last", "first"):
            raise ValueError(f"curriculum.validation: expected last or first, got {self.validation!r}")
        if self.stages[0].begin(1) > 0:
            raise ValueError(f"curriculum stage 0: expected to begin with the training, got at={self.stages[0].at}")
        for earlier, later in zip(self.stages, self.stages[1:], strict=False):
            # A fraction beside a step can be compared only once the number of steps is known.
            key = "at" if earlier.at_step is None else "at_step"
            first, second = getattr(earlier, key), getattr(later, key)
            if (later.at_step is None) == (earlier.at_step is None) and second <= first:
                raise ValueError(
                    f"curriculum stage {later.index}: expected {key} above {first} of the one before, got {second}"
                )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Curriculum":
        """Read the Hydra group `vision_r1/curriculum`.

        Raises:
            ValueError: A key is unknown or missing, or a value is out of its range.
        """
        known = {"stages", "interpolation", "validation"}
        if set(config) - known or not isinstance(config.get("stages"), list):
            raise ValueError(
                f"vision_r1.curriculum: expected a list of stages and the keys {sorted(known)}, got {config}"
            )
        fields = {"at", "at_step", "xi0", "xi1", "xi2", "precision_xi0"}
        for index, stage in enumerate(config["stages"]):
            if not {"xi0", "xi1", "xi2"} <= set(stage) <= fields:
                raise ValueError(
                    f"vision_r1.curriculum.stages[{index}]: expected keys of {sorted(fields)}, got {stage}"
                )
        stages = tuple(Stage(**stage, index=index) for index, stage in enumerate(config["stages"]))
        return cls(stages, **{key: value for key, value in config.items() if key != "stages"})

    def stage(self, step: int, total_steps: int) -> Stage:
        """The stage in force.

        Args:
            step: Step of the training, from 1; 0 is before the first.
            total_steps: Steps of the whole training.
        """
        done = max(step - 1, 0)
        begun = [stage for stage in self.stages if done >= stage.begin(total_steps) - SLACK] or [self.stages[0]]
        stage = begun[-1]
        following = self.stages[stage.index + 1 : stage.index + 2]
        if self.interpolation == "step" or not following:
            return stage
        span = following[0].begin(total_steps) - stage.begin(total_steps)
        return _between(stage, following[0], (done - stage.begin(total_steps)) / span)

    def validation_stage(self) -> Stage:
        """The stage of every validation, so that a curve does not drop where the rules tighten."""
        return self.stages[-1] if self.validation == "last" else self.stages[0]


def _between(first: Stage, second: Stage, share: float) -> Stage:
    mixed = {
        name: (1 - share) * getattr(first, name) + share * getattr(second, name) for name in ("xi0", "xi1", "xi2")
    }
    return replace(first, **mixed)


def refine(value: Value, stage: Stage) -> Value:
    """Differentiation: 0 below `xi1`, 1 from `xi2` on, the value itself between.

    Args:
        value: A number in [0, 1], or an array of them of any shape.
        stage: The thresholds in force.

    Returns:
        What was given, refined: a number, or an array of the same shape.

    Source:
        Vision-R1 (arXiv 2503.18013), Eq. 8; the borders count upwards, as the equation has them.

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
    """How much of a true positive a matched box is: a continuous refinement, without the steps of `refine`.

    Two straight lines: from 0 at IoU 0 to a tenth at `xi0`, and on to 1 at `xi2`. It never falls, so within one stage
    a better box is never worth less. `xi1` has no part in it.

    Args:
        iou: Numbers in [0, 1], of any shape.
        stage: The thresholds in force.

    Returns:
        Numbers in [0, 1], of the same shape.

    Source:
        This project, after Vision-R1 (arXiv 2503.18013), Eq. 8.

    Example:
        >>> credit(np.array([0.25, 0.5, 0.625, 0.75, 1.0]), Stage(0.5, 0.5, 0.75)).round(3).tolist()
        [0.05, 0.1, 0.55, 1.0, 1.0]
    """
    return np.interp(iou, *stage.credit_line)
