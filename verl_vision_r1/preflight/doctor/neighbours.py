"""Checks of other packages in the environment that verl or transformers import, if they are there."""

import importlib
import os
import sys
from importlib.machinery import PathFinder
from typing import Final

from packaging.version import Version

from verl_vision_r1.preflight.doctor.check import Case, FailedError, check, one_line
from verl_vision_r1.preflight.doctor.versions import installed


@check("peft", "pip install --upgrade peft")
def peft(case: Case) -> str:
    """The package peft can be imported, as verl's FSDP engine does in every run, and is new enough for LoRA."""
    version, transformers = installed("peft"), installed("transformers")
    if version is None:
        raise FailedError("not installed, but verl's FSDP engine imports it in every run", "pip install peft")
    try:
        importlib.import_module("peft")
    except Exception as error:
        raise FailedError(
            f"{version} cannot be imported with transformers {transformers}, as verl's FSDP engine does in every run:"
            f" {one_line(error)}"
        ) from error
    from transformers.integrations.peft import MIN_PEFT_VERSION

    rank = int(case.run.actor_rollout_ref.model.get("lora_rank") or 0) if case.overrides else 0
    if rank > 0 and Version(version) < Version(MIN_PEFT_VERSION):
        raise FailedError(
            f"{version}, but transformers {transformers} supports adapters of peft >={MIN_PEFT_VERSION}, and"
            f" actor_rollout_ref.model.lora_rank is {rank}",
            f"pip install 'peft>={MIN_PEFT_VERSION}'",
        )
    return version + (f", for actor_rollout_ref.model.lora_rank={rank}" if rank > 0 else "")


@check("other packages", "pip uninstall deepspeed, which verl does not use, or correct what the message names")
def others(case: Case) -> str:
    """TRL and DeepSpeed, which verl and transformers import if they are installed, do not stop the run."""
    return "; ".join(found for found in (_trl(), _deepspeed()) if found) or "neither TRL nor DeepSpeed is installed"


def _trl() -> str:
    """What verl takes for TRL: `python -m verl.trainer.main_ppo` also looks into the working directory."""
    spec = PathFinder.find_spec("trl", [os.getcwd(), *sys.path])
    if spec is None:
        return ""
    version = installed("trl")
    folder = next(iter(spec.submodule_search_locations or ()), spec.origin)
    name = f"TRL {version}" if version else f"{folder}, which verl takes for TRL"
    return f"{name}: not needed; if it lacks the class that verl imports, the plugin skips the import"


def _deepspeed() -> str:
    """Whether it can be imported, as accelerate does when transformers saves a model."""
    version = installed("deepspeed")
    if version is None:
        return ""
    try:
        importlib.import_module("deepspeed")
    except Exception as error:
        raise FailedError(
            f"DeepSpeed {version} cannot be imported, as transformers does when it saves a model (verl.model_merger,"
            f" hf_model in checkpoint.save_contents): {one_line(error)}"
        ) from error
    return f"DeepSpeed {version}: not used by verl"


CHECKS: Final = (peft, others)
