"""The GPUs of this machine, as torch sees them, and the checks that need one."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from verl_vision_r1.preflight.doctor.check import Case, SkippedError, UncheckedError, one_line


@dataclass(frozen=True)
class Gpus:
    """GPUs of one machine.

    Attributes:
        name: Name of the first.
        count: Their number, at least 1.
        memory: GiB of the smallest.
    """

    name: str
    count: int
    memory: float


def visible() -> Gpus | None:
    """The GPUs that torch sees, or None."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return Gpus(found[0].name, len(found), min(gpu.total_memory for gpu in found) / 2**30)


def listed() -> list[str]:
    """The names of the GPUs that `nvidia-smi` lists, whether torch sees them or not."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [] if done.returncode else done.stdout.split("\n")[:-1]


def why_none() -> str:
    """Why torch sees none of the GPUs that `nvidia-smi` lists."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return f"CUDA_VISIBLE_DEVICES={chosen!r}"
    try:
        torch.zeros(1, device="cuda")
    except Exception as error:
        return one_line(error)
    return f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"


def need_gpus(case: Case) -> None:
    """Check that the run uses GPUs, and those of this machine.

    Raises:
        SkippedError: It uses none, or those of a cluster.
    """
    if case.run.trainer.device != "cuda":
        raise SkippedError(f"trainer.device={case.run.trainer.device}")
    if os.environ.get("RAY_ADDRESS"):
        raise SkippedError("the run is on the cluster of RAY_ADDRESS")


def gpus_here(needs: str) -> Gpus:
    """The GPUs that torch sees.

    Args:
        needs: What the run needs of a machine, in words.

    Raises:
        UncheckedError: This machine has none.
        SkippedError: It has GPUs, but torch sees none: a failure of the check `GPUs`.
    """
    if found := visible():
        return found
    if listed():
        raise SkippedError("the check GPUs did not pass")
    raise UncheckedError(f"no GPU on this machine; the run needs {needs}")
