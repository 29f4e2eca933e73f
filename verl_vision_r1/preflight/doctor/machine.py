"""Checks of the machine: GPUs, their memory, flash attention and disk are enough for the run."""

import importlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, one_line
from verl_vision_r1.preflight.doctor.gpus import gpus_here, listed, need_gpus, visible, why_none
from verl_vision_r1.preflight.doctor.versions import installed
from verl_vision_r1.preflight.estimate.figure import counted, in_bytes

SDPA: Final = (
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa"
    " actor_rollout_ref.model.use_remove_padding=false actor_rollout_ref.model.use_fused_kernels=false"
)
"""The overrides of a run without flash attention."""


@check("GPUs", "start the run on a machine with these GPUs, or lower trainer.n_gpus_per_node and rehearse the run")
def gpus(case: Case) -> str:
    """Torch sees as many GPUs as the run uses on a node."""
    need_gpus(case)
    wanted = int(case.run.trainer.n_gpus_per_node)
    if visible() is None and (names := listed()):
        raise FailedError(
            f"nvidia-smi lists {len(names)} GPUs ({names[0]}), but torch sees none: {why_none()}",
            "install the build of torch that verl's extra vllm names, for a CUDA version that the driver supports, and"
            " unset CUDA_VISIBLE_DEVICES",
        )
    found = gpus_here(f"{counted(wanted, 'GPU')} per node")
    here = f"torch sees {found.count} ({found.name}, {found.memory:.1f} GiB)"
    if found.count < wanted:
        raise FailedError(f"trainer.n_gpus_per_node is {wanted}, but {here}")
    return f"{here}, trainer.n_gpus_per_node is {wanted}"


@check("flash attention", f"install the flash-attn that verl's extra fsdp names, or run without it: {SDPA}")
def flash_attention(case: Case) -> str:
    """The package `flash_attn` can be imported: a build for another torch fails in every worker of the run."""
    version, needed = installed("flash-attn"), _needs_flash_attention(case)
    if version is None and not needed:
        raise SkippedError("flash-attn is not installed, and not needed")
    if case.overrides:
        need_gpus(case)
        gpus_here("flash-attn, built for its torch")
    elif visible() is None:
        raise SkippedError("no GPU")
    if version is None:
        return _without_flash_attention()
    try:
        importlib.import_module("flash_attn")
    except Exception as error:
        torch = installed("torch")
        raise FailedError(f"flash-attn {version} cannot be imported with torch {torch}: {one_line(error)}") from error
    return f"flash-attn {version} can be imported with torch {installed('torch')}"


def _needs_flash_attention(case: Case) -> bool:
    """Whether the run requests it of transformers. Without a run, and with Megatron's own attention, it does not."""
    from omegaconf import OmegaConf

    if not case.overrides or case.run.model_engine == "megatron":
        return False
    attention = OmegaConf.select(case.run, "actor_rollout_ref.model.override_config.attn_implementation")
    return attention in (None, "flash_attention_2")


def _without_flash_attention() -> str:
    if importlib.util.find_spec("kernels") is None:
        raise FailedError("flash-attn is not installed, but the run uses flash_attention_2, verl's default")
    return "kernels, which transformers uses in place of flash-attn"


@check("linear attention", "install flash-linear-attention and causal-conv1d")
def linear_attention(case: Case) -> str:
    """Qwen3.5 finds the kernels of its linear attention: without them transformers computes it in PyTorch."""
    from verl_vision_r1.preflight.estimate import activations
    from verl_vision_r1.preflight.estimate.model import read_config

    need_gpus(case)
    try:
        config = read_config(case.run.actor_rollout_ref.model)[0]
    except ValueError as error:
        raise SkippedError(one_line(error)) from error
    family = config.model_type
    if activations.linear_attention(config.get_text_config()) is None:
        raise SkippedError(f"{family} has none")
    gpus_here("flash-linear-attention")
    version = installed("flash-linear-attention")
    if version is None:
        raise FailedError(f"{family} has layers of linear attention, and flash-linear-attention is not installed")
    return f"flash-linear-attention {version}"


@check("GPU memory", "vision-r1 rehearse finds the smallest change that fits; vision-r1 estimate lists the figures")
def memory(case: Case) -> str:
    """The peaks of memory that `vision-r1 estimate` finds fit into a GPU of this machine."""
    from verl_vision_r1.preflight.estimate import Section, generation, report, training

    need_gpus(case)
    plan = _plan(case)
    sections = [Section("", tuple(part.figures(plan))) for part in (training, generation)]
    found = f"estimated for {plan.assumed.memory:.1f} GiB: {report.verdict(sections)}"
    gpus_here(f"memory for its peaks; {found}")
    if not report.fits(sections):
        raise FailedError(found)
    return found


def _plan(case: Case) -> Any:
    """The run as `vision-r1 estimate` reads it, with the memory of this machine's GPUs if it has some.

    Raises:
        SkippedError: The estimate does not know the model or the engine.
    """
    from verl_vision_r1.preflight.estimate import Assumptions, make_plan

    found = visible()
    try:
        case.plan = case.plan or make_plan(case.overrides, Assumptions(found.memory if found else None))
    except ValueError as error:
        raise SkippedError(f"no estimate: {one_line(error)}") from error
    return case.plan


@check("disk", "free space, set trainer.default_local_dir to another disk, or lower trainer.max_actor_ckpt_to_keep")
def disk(case: Case) -> str:
    """The disk has room for the checkpoints that the run keeps at a time."""
    from verl_vision_r1.preflight.estimate.schedule import checkpoint_bytes, checkpoints_kept

    trainer = case.run.trainer
    if os.environ.get("RAY_ADDRESS"):
        raise SkippedError("the run is on the cluster of RAY_ADDRESS")
    if trainer.save_freq <= 0 or trainer.val_only:
        raise SkippedError("the run saves no checkpoint")
    plan = _plan(case)
    size, (kept, basis) = checkpoint_bytes(plan) // int(trainer.nnodes), checkpoints_kept(plan)
    folder = Path(trainer.default_local_dir).expanduser().absolute()
    need = f"{in_bytes(size * kept)} in {folder} for {basis}, {in_bytes(size)} each"
    if trainer.device == "cuda":
        gpus_here(need)
    free = shutil.disk_usage(_existing(folder)).free
    if free < size * kept:
        raise FailedError(f"{in_bytes(free)} free, but the run needs {need}")
    return f"{in_bytes(free)} free, the run needs {need}"


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


CHECKS: Final = (gpus, flash_attention, linear_attention, memory, disk)
