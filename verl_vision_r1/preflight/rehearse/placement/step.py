"""The step: the run's pools on the user's cluster, or the largest use of it that Ray can place."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from verl_vision_r1.preflight.doctor.check import FailedError
from verl_vision_r1.preflight.estimate.workers import CORES_PER_GPU, CORES_PER_ROLLOUT_GPU
from verl_vision_r1.preflight.rehearse.placement.cluster import RAYLETS, Nodes, cluster, shown
from verl_vision_r1.preflight.rehearse.placement.pools import place
from verl_vision_r1.preflight.rehearse.placement.remedies import remedy
from verl_vision_r1.preflight.rehearse.rollout_engine.sizes import separate
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed


def take(spec: Spec) -> Step:
    """Place the run's pools on the user's cluster, or on the one that the run asks for."""
    config = composed(spec.overrides)
    nodes, cores = spec.nodes or wanted_nodes(config), reserved_cores(config)
    with ThreadPoolExecutor(1) as imports, cluster(nodes, cores, imports.submit(_import_trainer)):
        try:
            placed = place(config, nodes)
        except FailedError as error:
            return Step(False, str(error), _limit(nodes, cores), remedy(config, nodes), _figures(nodes, cores))
    pools = ", ".join(f"{name} {bundles:,}" for name, bundles in placed.items())
    found = f"{shown(nodes)}: bundles placed: {pools}"
    return Step(True, found, _limit(nodes, cores), "", _figures(nodes, cores, sum(placed.values())))


def _import_trainer() -> None:
    """Import verl's trainer, which takes as long as the cluster's start."""
    importlib.import_module("verl.trainer.ppo.v1")


def wanted_nodes(config: Any) -> Nodes:
    """The cluster that a run asks for; nodes of several sizes count as of the largest."""
    parts = [config.trainer]
    if separate(config):
        parts.append(config.actor_rollout_ref.rollout)
    if config.reward.reward_model.enable_resource_pool:
        parts.append(config.reward.reward_model)
    return sum(int(part.nnodes) for part in parts), max(int(part.n_gpus_per_node) for part in parts)


def reserved_cores(config: Any) -> int:
    """CPU cores that the run reserves: those of the bundles, the storage units, their controller and the trainer."""
    trainer, rollout = config.trainer, config.actor_rollout_ref.rollout
    training = int(trainer.nnodes * trainer.n_gpus_per_node) * CORES_PER_GPU
    generating = int(rollout.nnodes * rollout.n_gpus_per_node) * CORES_PER_ROLLOUT_GPU if separate(config) else 0
    units = int(config.transfer_queue.backend.SimpleStorage.num_data_storage_units)
    return training + generating + units + 2


def _limit(nodes: Nodes, cores: int) -> str:
    import ray

    merged = f"; {RAYLETS} raylets stand for the {nodes[0]:,} nodes" if nodes[0] > RAYLETS else ""
    return f"Ray {ray.__version__}, fake nodes{merged}; {cores:,} CPU cores reserved by the run"


def _figures(nodes: Nodes, cores: int, bundles: int = 0) -> dict[str, float]:
    return {"nodes": nodes[0], "gpus": nodes[0] * nodes[1], "cpu_cores": cores, "bundles": bundles}
