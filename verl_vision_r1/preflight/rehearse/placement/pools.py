"""The resource pools of a run, built by verl on a Ray cluster."""

import asyncio
import copy
import functools
import time
import types
from collections.abc import Callable, Sequence
from typing import Any, Final
from unittest import mock

from verl_vision_r1.preflight.doctor.check import FailedError, one_line
from verl_vision_r1.preflight.rehearse.placement.cluster import Nodes, shown
from verl_vision_r1.preflight.rehearse.rollout_engine.sizes import engine_size, hybrid, separate

PATIENCE: Final = 20.0
"""Seconds after which a bundle counts as one that Ray cannot place; it takes less than one otherwise."""


def place(config: Any, nodes: Nodes) -> dict[str, int]:
    """Reserve the bundles of all pools.

    Returns:
        The number of bundles of each pool.

    Raises:
        FailedError: verl finds too few GPUs, or Ray has no place for a bundle. Nothing then stays reserved.
    """
    import ray
    from omegaconf import OmegaConf
    from verl.single_controller.ray import base

    config = copy.deepcopy(config)
    OmegaConf.resolve(config)
    groups: list[Any] = []

    def record(*args: Any, **kwargs: Any) -> Any:
        groups.append(placement_group(*args, **kwargs))
        return groups[-1]

    placement_group = base.placement_group
    patient = functools.partial(ray.get, timeout=PATIENCE)
    try:
        with mock.patch.object(base, "placement_group", record), mock.patch.object(ray, "get", patient):
            placed = _training_pools(config) | _generating_pools(config)
        _check_nodes([group.bundle_count for group in groups], nodes)
    except (Exception, SystemExit) as error:
        _release(groups)
        waits = isinstance(error, ray.exceptions.GetTimeoutError)
        raise FailedError(_waiting(groups, nodes) if waits else f"{shown(nodes)}: {one_line(error)}") from error
    return placed


def _training_pools(config: Any) -> dict[str, int]:
    """The pools of verl's trainer, built by its own methods."""
    from verl.trainer.ppo.v1 import get_trainer_cls

    trainer: Any = object.__new__(get_trainer_cls(config.trainer.v1.trainer_mode))
    trainer.config = config
    trainer._enable_hybrid_replicas = hybrid(config)
    trainer._init_resource_pool_mgr()
    trainer.resource_pool_manager.create_resource_pool()
    pools = trainer.resource_pool_manager.resource_pool_dict
    return {name: _bundles(pool.get_placement_groups("STRICT_PACK")) for name, pool in pools.items()}


def _generating_pools(config: Any) -> dict[str, int]:
    """The pools of the rollout engines on GPUs that do not train, built by verl's own methods."""
    if not separate(config):
        return {}
    from verl.workers.rollout import replica

    class Replica(replica.RolloutReplica):
        async def launch_servers(self) -> None:
            """Start nothing."""

    def reserve(resource_pool: Any, **_: object) -> Any:
        pool.extend(resource_pool.get_placement_groups("PACK"))
        return types.SimpleNamespace(workers=[])

    pool: list[Any] = []
    part = config.actor_rollout_ref
    engines = int(part.rollout.nnodes * part.rollout.n_gpus_per_node) // engine_size(config)
    with mock.patch.object(replica, "RayWorkerGroup", reserve):
        for rank in range(engines):
            made = Replica(rank, part.rollout, part.model, gpus_per_node=part.rollout.n_gpus_per_node)
            asyncio.run(made.init_standalone())
    return {"rollout_pool": _bundles(pool)}


def _bundles(groups: Sequence[Any]) -> int:
    return sum(group.bundle_count for group in groups)


def _check_nodes(groups: Sequence[int], nodes: Nodes) -> None:
    """Each group has a node, also where one raylet stands for several.

    Raises:
        ValueError: One has none.

    Example:
        >>> _check_nodes([8, 8], (2, 8))
        >>> _check_nodes([6, 6], (1, 12))
        >>> _check_nodes([8, 8], (1, 12))
        Traceback (most recent call last):
        ValueError: expected a node with 8 free GPUs for each group of workers, got 1 node x 12 GPUs
    """
    free = [nodes[1]] * nodes[0]
    for size in sorted(groups, reverse=True):
        node = next((index for index, gpus in enumerate(free) if gpus >= size), None)
        if node is None:
            raise ValueError(f"expected a node with {size} free GPUs for each group of workers, got {shown(nodes)}")
        free[node] -= size


def _waiting(groups: Sequence[Any], nodes: Nodes) -> str:
    size = max(group.bundle_count for group in groups)
    return f"{shown(nodes)}: Ray finds no node for {size} workers with a GPU each; verl would wait forever"


def _release(groups: Sequence[Any]) -> None:
    """Give all bundles back, so that other pools can be tried."""
    import ray

    for group in groups:
        ray.util.remove_placement_group(group)
    end = time.monotonic() + PATIENCE
    while _gpus(ray.available_resources) != _gpus(ray.cluster_resources) and time.monotonic() < end:
        time.sleep(0.1)


def _gpus(resources: Callable[[], Any]) -> float:
    return float(resources().get("GPU", 0))
