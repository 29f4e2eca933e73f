"""What makes a run fit on a cluster: uses of all its nodes are tried until Ray places one."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from verl_vision_r1.preflight.config_check.parallel import ROLLOUT
from verl_vision_r1.preflight.doctor.check import FailedError
from verl_vision_r1.preflight.rehearse.placement.cluster import Nodes
from verl_vision_r1.preflight.rehearse.placement.pools import place
from verl_vision_r1.preflight.rehearse.rollout_engine.sizes import separate


def remedy(config: Any, nodes: Nodes) -> str:
    """The largest use of the cluster on which all pools are placed; empty if there is none."""
    from omegaconf import OmegaConf

    for changes in choices(config, nodes):
        changed = copy.deepcopy(config)
        for key, value in changes.items():
            OmegaConf.update(changed, key, value)
        with contextlib.suppress(FailedError):
            place(changed, nodes)
            return " ".join(f"{key}={value}" for key, value in changes.items())
    return ""


def choices(config: Any, nodes: Nodes) -> Iterator[dict[str, int]]:
    """Overrides that use all nodes. Where other GPUs generate than train: half of the GPUs if there is one node."""
    count, gpus = nodes
    if not separate(config):
        yield _nodes_of("trainer", count, gpus)
    elif count > 1:
        generating = min(max(int(config.actor_rollout_ref.rollout.nnodes), 1), count - 1)
        yield _nodes_of("trainer", count - generating, gpus) | _nodes_of(ROLLOUT, generating, gpus)
    elif gpus > 1:
        yield _nodes_of("trainer", 1, gpus - gpus // 2) | _nodes_of(ROLLOUT, 1, gpus // 2)


def _nodes_of(part: str, count: int, gpus: int) -> dict[str, int]:
    return {f"{part}.nnodes": count, f"{part}.n_gpus_per_node": gpus}
