"""What an engine accepts of a run: its own verdict, and the checks before Ray starts that no engine makes."""

import copy
from typing import Any, Final

from verl_vision_r1.preflight.config_check.parallel import ROLLOUT, check_parallel
from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError, one_line
from verl_vision_r1.preflight.rehearse.rollout_engine import sglang, vllm

ENGINES: Final = {"vllm": vllm.accepted, "sglang": sglang.accepted}


def check(config: Any) -> str:
    """What the engine accepts of a run.

    Raises:
        FailedError: The engine, verl or the checks refuse the run; all their reasons.
        SkippedError: The engine is not installed.
    """
    from omegaconf import OmegaConf

    config = copy.deepcopy(config)
    OmegaConf.resolve(config)  # As verl does before it divides the configuration.
    accepted, reasons, skipped = "", [], None
    for part in (_engine, check_parallel):
        try:
            accepted = part(config) or accepted
        except SkippedError as reason:
            skipped = reason
        except (Exception, SystemExit) as error:
            reasons.append(message(error))
    if reasons:
        raise FailedError("; ".join(reasons))
    if skipped:
        raise skipped
    return accepted


def _engine(config: Any) -> str:
    name = str(config.actor_rollout_ref.rollout.name)
    if name not in ENGINES:
        raise SkippedError(f"{ROLLOUT}.name={name}: only the arguments of {' and '.join(ENGINES)} are checked")
    return ENGINES[name](config)


def message(error: BaseException) -> str:
    """The message of an error on one line; of pydantic's and Hydra's errors, only what was refused."""
    if callable(errors := getattr(error, "errors", None)):
        return "; ".join(str(part["msg"]).removeprefix("Value error, ").rstrip(".") for part in errors())
    if type(error).__name__ == "InstantiationException" and error.__cause__:
        return one_line(error.__cause__)
    return one_line(error)
