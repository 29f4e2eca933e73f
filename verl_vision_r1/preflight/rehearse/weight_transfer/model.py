"""vLLM's model on torch's `meta` device, in the state of a worker whose neighbours do not exist."""

import contextlib
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch


def build(made: Any) -> Any:
    """The model of a vLLM configuration, without memory.

    Only the tables of experts are in memory: the loaders of their weights read them.
    """
    from vllm.model_executor.layers.fused_moe import expert_map_manager
    from vllm.model_executor.model_loader.utils import initialize_model

    determine = expert_map_manager.determine_expert_map

    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return determine(*args, **kwargs)

    in_memory = mock.patch.object(expert_map_manager, "determine_expert_map", on_cpu)
    with in_worker(made), in_memory, torch.device("meta"):
        return without_memory(initialize_model(made))


def without_memory(model: Any) -> Any:
    """Replace the parameters that a layer put on its GPU by name, such as the gated norm of Qwen3.5."""
    for layer in model.modules():
        for name, part in list(layer.named_parameters(recurse=False)):
            if not part.is_meta:
                empty = torch.nn.Parameter(torch.empty_like(part, device="meta"), requires_grad=False)
                vars(empty).update(vars(part))  # Its loader.
                setattr(layer, name, empty)
    return model


@contextlib.contextmanager
def in_worker(made: Any) -> Iterator[None]:
    """The state of a vLLM worker of rank 0."""
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.utils.torch_utils import set_default_torch_dtype

    parallel = made.parallel_config
    tensor, data = int(parallel.tensor_parallel_size), int(parallel.data_parallel_size)
    sizes = {"_WORLD": tensor, "_TP": tensor, "_DP": data, "_EP": tensor * data}
    for name in ("_WORLD", "_TP", "_DCP", "_PCP", "_PP", "_DP", "_EP", "_EPLB"):
        setattr(parallel_state, name, _group(parallel_state.GroupCoordinator, sizes.get(name, 1)))
    with set_current_vllm_config(made), set_default_torch_dtype(made.model_config.dtype):
        yield


def _group(kind: Any, size: int) -> Any:
    """Rank 0 of a group of vLLM's processes that are not there."""
    group = object.__new__(kind)
    fake = types.SimpleNamespace(size=lambda: size, rank=lambda: 0)
    vars(group).update(ranks=list(range(size)), world_size=size, device=torch.device("meta"))
    vars(group).update(dict.fromkeys(("rank", "local_rank", "rank_in_group", "device_index"), 0))
    vars(group).update(dict.fromkeys(("cpu_group", "device_group"), fake))
    vars(group).update(dict.fromkeys(("device_communicator", "mq_broadcaster")), unique_name="rehearsal")
    return group
