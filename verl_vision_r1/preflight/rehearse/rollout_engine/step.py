"""The step: what the engine accepts of a run, or the smallest change that it accepts."""

from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import FailedError
from verl_vision_r1.preflight.rehearse.rollout_engine.checks import check
from verl_vision_r1.preflight.rehearse.rollout_engine.remedies import remedy
from verl_vision_r1.preflight.rehearse.rollout_engine.server import use_folder
from verl_vision_r1.preflight.rehearse.rollout_engine.sizes import engine_size, longest, pools
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed

UNCHECKED: Final = (
    "not checked on a CPU: block size, CUDA graphs, asynchronous scheduling, sleep mode, attention backend"
)


def take(spec: Spec) -> Step:
    """Build the engine's configuration; if it is refused, find the smallest override that it accepts.

    Raises:
        SkippedError: The engine of the run is not installed, and nothing else is wrong.
    """
    config = composed(spec.overrides)
    use_folder(config, spec.folder)
    try:
        found = check(config)
    except FailedError as error:
        return Step(False, str(error), _limit(config), remedy(config), _figures(config))
    return Step(True, found, _limit(config), "", _figures(config))


def _limit(config: Any) -> str:
    data = config.data
    lengths = f"prompt {int(data.max_prompt_length):,} + completion {int(data.max_response_length):,} tokens"
    gpus = " and ".join(f"{gpus:,} GPUs" for gpus in pools(config))
    return f"{lengths}; {gpus}, {engine_size(config)} per engine; {UNCHECKED}"


def _figures(config: Any) -> dict[str, float]:
    return {
        "tensor_parallel": float(config.actor_rollout_ref.rollout.tensor_model_parallel_size),
        "tokens": float(longest(config)),
        "engines": float(sum(gpus // engine_size(config) for gpus in pools(config))),
    }
