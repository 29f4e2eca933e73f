"""A step of a rehearsal: Ray finds a place for every GPU worker of the run on a cluster of fake nodes.

verl's trainer builds its resource pools as in a run, and Ray reserves a bundle of each for every worker; no worker
starts. A fake node is a raylet that reports GPUs and CPU cores that the machine does not have. Networks, drivers and
what else runs on the real cluster are not checked.
"""

import asyncio
import contextlib
import copy
import functools
import importlib
import logging
import os
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final
from unittest import mock

from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError, one_line
from verl_vision_r1.preflight.estimate.workers import CORES_PER_GPU, CORES_PER_ROLLOUT_GPU
from verl_vision_r1.preflight.rehearse.rollout_engine import ROLLOUT, engine_size
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed, main

RAYLETS: Final = 4
"""Maximum number of raylets: each takes seconds to start. On a larger cluster each stands for several nodes."""
PATIENCE: Final = 20.0
"""Seconds after which a bundle counts as one that Ray cannot place; it takes less than one otherwise."""
STORE: Final = 80 * 1024**2
"""Bytes of each raylet's object store, which holds nothing."""

Nodes = tuple[int, int]
"""A cluster: the number of nodes, and the GPUs of each."""


def take(spec: Spec) -> Step:
    """Place the run's pools on the user's cluster, or on the one that the run asks for.

    Raises:
        SkippedError: The run uses verl's old trainer.
    """
    for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES"):  # Another cluster; the GPUs that Ray would count.
        os.environ.pop(name, None)
    config = composed(spec.overrides)
    if not config.trainer.get("use_v1", True):
        raise SkippedError("trainer.use_v1=false: the pools of verl's old trainer are not placed")
    wanted = wanted_nodes(config)
    nodes = spec.nodes or wanted
    cores = reserved_cores(config)
    with ThreadPoolExecutor(1) as imports, cluster(nodes, cores, imports.submit(_import)):
        try:
            placed = place(config, nodes)
        except FailedError as error:
            return Step(False, str(error), _limit(nodes, cores), _remedy(config, nodes), _figures(nodes, cores))
    pools = ", ".join(f"{name} {bundles:,}" for name, bundles in placed.items())
    found = f"{_shown(nodes)}: bundles placed: {pools}"
    return Step(True, found, _limit(nodes, cores), "", _figures(nodes, cores, sum(placed.values())))


def _import() -> None:
    """Import verl's trainer, which takes as long as the cluster's start."""
    importlib.import_module("verl.trainer.ppo.v1")


def wanted_nodes(config: Any) -> Nodes:
    """The cluster that a run asks for; nodes of several sizes count as of the largest."""
    parts = [config.trainer]
    if _separate(config):
        parts.append(config.actor_rollout_ref.rollout)
    if config.reward.reward_model.enable_resource_pool:
        parts.append(config.reward.reward_model)
    return sum(int(part.nnodes) for part in parts), max(int(part.n_gpus_per_node) for part in parts)


def _separate(config: Any) -> bool:
    return str(config.trainer.v1.trainer_mode).endswith("separate_async")


def reserved_cores(config: Any) -> int:
    """CPU cores that the run reserves: those of the bundles, the storage units, their controller and the trainer."""
    trainer, rollout = config.trainer, config.actor_rollout_ref.rollout
    training = int(trainer.nnodes * trainer.n_gpus_per_node) * CORES_PER_GPU
    generating = int(rollout.nnodes * rollout.n_gpus_per_node) * CORES_PER_ROLLOUT_GPU if _separate(config) else 0
    units = int(config.transfer_queue.backend.SimpleStorage.num_data_storage_units)
    return training + generating + units + 2


@contextlib.contextmanager
def cluster(nodes: Nodes, cores: int, ready: Future[None]) -> Iterator[None]:
    """A Ray cluster of fake nodes, and a connection to it; both end with the context.

    Args:
        nodes: The nodes.
        cores: CPU cores of each: those of the whole run, so that GPUs decide.
        ready: What the context waits for besides.
    """
    with tempfile.TemporaryDirectory(prefix="vr1", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0"}
        os.environ |= {"RAY_TMPDIR": folder, **quiet}
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster()
        try:
            for count in _shares(nodes[0]):
                made.add_node(
                    num_gpus=count * nodes[1],
                    num_cpus=cores,
                    object_store_memory=STORE,
                    include_dashboard=False,
                    include_log_monitor=False,
                )
            ray.init(address=made.address, log_to_driver=False, logging_level=logging.WARNING)
            ready.result()
            yield
        finally:
            ray.shutdown()
            made.shutdown()  # type: ignore[no-untyped-call]


def _shares(nodes: int) -> list[int]:
    """The number of nodes that each raylet stands for.

    Example:
        >>> _shares(3), _shares(10)
        ([1, 1, 1], [3, 3, 2, 2])
    """
    raylets = min(nodes, RAYLETS)
    return [nodes // raylets + (raylet < nodes % raylets) for raylet in range(raylets)]


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
        groups.append(base_group(*args, **kwargs))
        return groups[-1]

    base_group = base.placement_group
    patient = functools.partial(ray.get, timeout=PATIENCE)
    try:
        with mock.patch.object(base, "placement_group", record), mock.patch.object(ray, "get", patient):
            placed = _training_pools(config) | _generating_pools(config)
        _check_nodes([group.bundle_count for group in groups], nodes)
    except (Exception, SystemExit) as error:
        _release(groups)
        waits = isinstance(error, ray.exceptions.GetTimeoutError)
        raise FailedError(_waiting(groups, nodes) if waits else f"{_shown(nodes)}: {one_line(error)}") from error
    return placed


def _training_pools(config: Any) -> dict[str, int]:
    """The pools of verl's trainer, built by its own methods."""
    from verl.trainer.ppo.v1 import get_trainer_cls

    trainer: Any = object.__new__(get_trainer_cls(config.trainer.v1.trainer_mode))
    trainer.config = config
    hybrid = not _separate(config) or bool(config.actor_rollout_ref.get("hybrid_engine", True))
    trainer._enable_hybrid_replicas = hybrid
    trainer._init_resource_pool_mgr()
    trainer.resource_pool_manager.create_resource_pool()
    pools = trainer.resource_pool_manager.resource_pool_dict
    return {name: _bundles(pool.get_placement_groups("STRICT_PACK")) for name, pool in pools.items()}


def _generating_pools(config: Any) -> dict[str, int]:
    """The pools of the rollout engines that have GPUs of their own, built by verl's own methods."""
    if not _separate(config):
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
            raise ValueError(f"expected a node with {size} free GPUs for each group of workers, got {_shown(nodes)}")
        free[node] -= size


def _waiting(groups: Sequence[Any], nodes: Nodes) -> str:
    size = max(group.bundle_count for group in groups)
    return f"{_shown(nodes)}: Ray finds no node for {size} workers with a GPU each; verl would wait forever"


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


def _remedy(config: Any, nodes: Nodes) -> str:
    """The largest use of the cluster on which all pools are placed; empty if there is none."""
    from omegaconf import OmegaConf

    for changes in _choices(config, nodes):
        changed = copy.deepcopy(config)
        for key, value in changes.items():
            OmegaConf.update(changed, key, value)
        with contextlib.suppress(FailedError):
            place(changed, nodes)
            return " ".join(f"{key}={value}" for key, value in changes.items())
    return ""


def _choices(config: Any, nodes: Nodes) -> Iterator[dict[str, int]]:
    """Overrides that use all nodes; with GPUs of their own for generation, half of each if there is one node."""
    count, gpus = nodes
    if not _separate(config):
        yield _nodes_of("trainer", count, gpus)
    elif count > 1:
        generating = min(max(int(config.actor_rollout_ref.rollout.nnodes), 1), count - 1)
        yield _nodes_of("trainer", count - generating, gpus) | _nodes_of(ROLLOUT, generating, gpus)
    elif gpus > 1:
        yield _nodes_of("trainer", 1, gpus - gpus // 2) | _nodes_of(ROLLOUT, 1, gpus // 2)


def _nodes_of(part: str, count: int, gpus: int) -> dict[str, int]:
    return {f"{part}.nnodes": count, f"{part}.n_gpus_per_node": gpus}


def _shown(nodes: Nodes) -> str:
    return f"{nodes[0]:,} {'node' if nodes[0] == 1 else 'nodes'} x {nodes[1]:,} GPUs"


def _limit(nodes: Nodes, cores: int) -> str:
    import ray

    merged = f"; {RAYLETS} raylets stand for the {nodes[0]:,} nodes" if nodes[0] > RAYLETS else ""
    return f"Ray {ray.__version__}, fake nodes{merged}; {cores:,} CPU cores reserved by the run"


def _figures(nodes: Nodes, cores: int, bundles: int = 0) -> dict[str, float]:
    return {"nodes": nodes[0], "gpus": nodes[0] * nodes[1], "cpu_cores": cores, "bundles": bundles}


if __name__ == "__main__":
    sys.exit(main(take))
