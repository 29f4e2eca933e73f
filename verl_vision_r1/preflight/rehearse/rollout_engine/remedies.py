"""What makes an engine accept a run: overrides are tried, the nearest to the run first, until one is accepted."""

import copy
from collections.abc import Iterator
from typing import Any, Final

from verl_vision_r1.preflight.config_check.parallel import ROLLOUT
from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError
from verl_vision_r1.preflight.rehearse.rollout_engine.checks import check
from verl_vision_r1.preflight.rehearse.rollout_engine.sizes import longest

DEFAULTS: Final = {
    "pipeline_model_parallel_size": 1,
    "data_parallel_size": 1,
    "expert_parallel_size": 1,
    "dtype": "bfloat16",
    "gpu_memory_utilization": 0.6,
    "max_num_seqs": 256,
}
"""Values that work, tried in place of a run's own."""

Change = tuple[str, Any]
"""A key and its value."""


def remedy(config: Any) -> str:
    """The smallest override with which a refused run is accepted, or two; empty if none of those tried is."""
    refused, tried = _refusal(config), list(choices(config))
    others = []  # Changes after which something else is wrong.
    for change in tried:
        answer = _refusal(config, change)
        if not answer:
            return _words(change)
        if answer != refused:
            others.append(change)
    pairs = ((first, second) for first in others for second in tried if first[0] != second[0])
    return _words(*next((pair for pair in pairs if not _refusal(config, *pair)), ()))


def choices(config: Any) -> Iterator[Change]:
    """Overrides that an engine may accept, the nearest to the run first."""
    rollout = config.actor_rollout_ref.rollout
    size, gpus = int(rollout.tensor_model_parallel_size), int(rollout.n_gpus_per_node)
    yield f"{ROLLOUT}.max_num_batched_tokens", int(rollout.max_model_len or longest(config))
    yield f"{ROLLOUT}.max_model_len", longest(config)
    for other in sorted(range(1, gpus + 1), key=lambda other: (abs(other - size), -other)):
        if other != size and gpus % other == 0:
            yield f"{ROLLOUT}.tensor_model_parallel_size", other
    for key, value in DEFAULTS.items():
        if rollout.get(key) not in (None, value):
            yield f"{ROLLOUT}.{key}", value


def _words(*changes: Change) -> str:
    return " ".join(f"{key}={value}" for key, value in changes)


def _refusal(config: Any, *changes: Change) -> str:
    """Why a changed run is refused; empty if it is not."""
    from omegaconf import OmegaConf

    changed = copy.deepcopy(config)
    for key, value in changes:
        OmegaConf.update(changed, key, value)
    try:
        check(changed)
    except FailedError as error:
        return str(error)
    except SkippedError:
        pass  # Of what can be checked here, nothing is wrong.
    return ""
