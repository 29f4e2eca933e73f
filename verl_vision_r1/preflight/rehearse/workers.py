"""verl's own workers on fake ranks: rank 0 of the run's training GPUs, in this process."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch

from verl_vision_r1.preflight.rehearse.fake_device import FakeDevice
from verl_vision_r1.preflight.rehearse.memory import Memory


def start_ranks(ranks: int) -> None:
    """Join a process group of which only this rank exists: collectives return at once, with the right shapes."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    environment = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": ranks, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}
    os.environ.update({name: str(value) for name, value in environment.items()})
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)


def make_worker(config: Any, role: str, device: FakeDevice) -> Any:
    """Build a worker of verl with its model, sharded over the ranks.

    Args:
        config: `actor_rollout_ref` of the run.
        role: `actor` or `ref`.
        device: The fake GPU.
    """
    from verl.workers.engine_workers import ActorRolloutRefWorker

    worker = ActorRolloutRefWorker(config=config, role=role)
    with device:
        worker.init_model()
    engine = getattr(worker, role).engine
    device.memory.mark(engine.module.parameters(), _place(engine))
    return worker


def _place(engine: Any) -> str:
    offloaded = engine.is_param_offload_enabled or engine._uses_fsdp2_cpu_offload_policy
    return "host" if offloaded else "parameters"


def update_as_on_cuda(optimizer: Any) -> None:
    """Update all parameters at once, with one more array of their size: torch's default on a GPU, but not on a CPU."""
    for group in optimizer.param_groups:
        group["foreach"] = True


@contextlib.contextmanager
def watched(memory: Memory) -> Iterator[None]:
    """Tell the memory what FSDP2 gathers and reduces, and what verl moves to the host and back."""
    from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup
    from verl.workers.engine import base
    from verl.workers.engine.fsdp import transformer_impl

    def gathered(group: Any, *args: Any) -> None:
        memory.mark((tensor for part in group.fsdp_params for tensor in part.all_gather_outputs), "unsharded")
        memory.mark((getattr(part, "_unsharded_param", None) for part in group.fsdp_params), "unsharded")

    def reduced(group: Any, *args: Any) -> None:
        for part in group.fsdp_params:
            memory.mark([part.sharded_param.grad], "host" if part.offload_to_cpu else "gradients")

    def moved(engine: Any, device: str, model: bool = True, optimizer: bool = True, grad: bool = True) -> None:
        away = device == "cpu"
        if engine.engine_config.forward_only:
            return
        if model:
            memory.mark(engine.module.parameters(), "host" if away else "parameters")
        if model and grad:
            memory.mark((part.grad for part in engine.module.parameters()), "host" if away else "gradients")
        if optimizer and engine.optimizer:
            memory.mark(moments(engine.optimizer), "host" if away else "moments")

    with (
        _after(FSDPParamGroup, "wait_for_unshard", gathered),
        _after(FSDPParamGroup, "post_backward", reduced),
        # verl moves to "cpu" or to the name of the device, which is the same word here.
        mock.patch.object(transformer_impl.FSDPEngine, "to", moved),
        mock.patch.object(base, "get_device_name", return_value="fake"),
    ):
        yield


def moments(optimizer: Any) -> Iterator[torch.Tensor]:
    """The state of an optimizer."""
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, torch.Tensor) and value.dim())


@contextlib.contextmanager
def _after(owner: Any, name: str, then: Any) -> Iterator[None]:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        then(*args)
        return result

    with mock.patch.object(owner, name, wrapped):
        yield
