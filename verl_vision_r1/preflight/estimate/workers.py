"""Section on the CPU: the rewards, and the CPU cores that Ray reserves."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from verl_vision_r1.preflight.doctor.scoring import SCENES
from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.rewards import attacks
from verl_vision_r1.rewards.forms import correct_completion
from verl_vision_r1.rewards.presets import Preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import score_completion

WORKER: Final = 0.8 * GIB
"""Resident memory of a reward worker: 0.75 GiB measured with verl 0.9.1 and torch 2.11, half of it shared."""
CORES_PER_GPU: Final = 3
"""CPU cores that verl reserves per GPU (`ResourcePoolManager`)."""
CORES_PER_ROLLOUT_GPU: Final = 2
"""CPU cores that verl reserves per GPU that only generates (`RolloutReplica`)."""
MEASURED: Final = 0.05
"""Seconds of measurement per task."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on the CPU."""
    seconds = seconds_per_completion(plan.settings.preset, plan.settings.curriculum.stages[-1])
    workers = int(plan.config.reward.num_workers)
    if seconds is not None:
        basis = "measured on this machine, one core, a few boxes; from parsing to the total"
        yield Figure("scoring per completion", seconds * 1000, "ms", basis)
        basis = f"{plan.completions:,} completions, one core"
        yield Figure("scoring per step", seconds * plan.completions, "seconds", basis)
        basis = f"to score a step in one second; reward.num_workers is {workers}"
        yield Figure("cores for scoring", max(math.ceil(seconds * plan.completions), 1), "", basis)
    yield Figure("memory of reward workers", workers * WORKER, "bytes", f"{workers} workers, 0.8 GiB each as measured")
    units = int(plan.config.transfer_queue.backend.SimpleStorage.num_data_storage_units)
    training, generating = plan.gpus * CORES_PER_GPU, plan.generating_gpus * CORES_PER_ROLLOUT_GPU * plan.separate
    cores = training + generating + units + 2
    given = plan.config.ray_kwargs.ray_init.num_cpus
    basis = f"at least: {CORES_PER_GPU} per GPU, {units} storage units, their controller, the trainer"
    yield Figure("cores reserved by Ray", cores, "", basis + (f"; num_cpus is {given}" if given else ""))


def seconds_per_completion(preset: Preset, stage: Stage) -> float | None:
    """Seconds to score one completion of the slowest task; None if all parsers are custom.

    Args:
        preset: The reward configuration.
        stage: The thresholds.
    """
    times = []
    for task, rules in preset.tasks.items():
        target = SCENES[task]
        text = correct_completion(target, rules.parser, target.boxes)
        if text is not None:
            times.append(_measured(partial(score_completion, text, target, rules, attacks.FRAME, stage)))
    return max(times, default=None)


def _measured(call: Callable[[], object]) -> float:
    """Seconds of the fastest call within `MEASURED` seconds."""
    call()
    fastest, end = math.inf, time.perf_counter() + MEASURED
    while (begin := time.perf_counter()) < end:
        call()
        fastest = min(fastest, time.perf_counter() - begin)
    return fastest
