"""What runs on the processor: rewards, and the logical cores that Ray counts."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from verl_vision_r1.preflight.doctor.sample import SCENES, perfect_answer
from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.rewards import attacks
from verl_vision_r1.rewards.presets import Preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import score_completion

WORKER: Final = 0.8 * GIB
"""Resident memory of a reward worker: 0.75 GiB were measured with verl 0.9.1 and torch 2.11, half of it shared."""
COLOCATED: Final = 3
"""Logical cores that verl reserves beside each GPU (`ResourcePoolManager`)."""
APART: Final = 2
"""The same beside each GPU that only generates (`RolloutReplica`)."""
MEASURED: Final = 0.05
"""Seconds that scoring is timed for each task."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on the processor."""
    each = seconds_of_sample(plan.settings.preset, plan.settings.curriculum.stages[-1])
    workers = int(plan.config.reward.num_workers)
    if each is not None:
        needed = max(math.ceil(each * plan.samples), 1)
        yield Figure(
            "scoring of an answer", each * 1000, "ms", "measured here, on one core, with a few boxes; parsing to total"
        )
        yield Figure("scoring of a step", each * plan.samples, "seconds", f"{plan.samples:,} answers, one core")
        yield Figure(
            "reward cores needed", needed, "", f"to score a whole step in one second; reward.num_workers is {workers}"
        )
    yield Figure("memory of reward workers", workers * WORKER, "bytes", f"{workers} of 0.8 GiB, as measured once")
    units = int(plan.config.transfer_queue.backend.SimpleStorage.num_data_storage_units)
    logical = plan.gpus * COLOCATED + plan.generating_gpus * APART * plan.separate + units + 2
    given = plan.config.ray_kwargs.ray_init.num_cpus
    basis = f"at least: {COLOCATED} beside each GPU, {units} storage units, their controller, the trainer"
    yield Figure("Ray's logical cores", logical, "", basis + (f"; num_cpus is {given}" if given else ""))


def seconds_of_sample(preset: Preset, stage: Stage) -> float | None:
    """Seconds to score one answer, of the slowest task; None where no answer is known for the preset's parsers.

    Args:
        preset: The rewards.
        stage: The thresholds in force.
    """
    times = []
    for task, rules in preset.tasks.items():
        target = SCENES[task]
        text = perfect_answer(target, rules, target.boxes)
        if text is not None:
            times.append(_timed(partial(score_completion, text, target, rules, attacks.FRAME, stage)))
    return max(times, default=None)


def _timed(call: Callable[[], object]) -> float:
    """Seconds of one call: the shortest of those that fit into the time."""
    call()
    fastest, end = math.inf, time.perf_counter() + MEASURED
    while (begun := time.perf_counter()) < end:
        call()
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest
