"""A Ray cluster of fake nodes."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Final
from unittest import mock

RAYLETS: Final = 4
"""Maximum number of raylets: each takes seconds to start. On a larger cluster each stands for several nodes."""
STORE: Final = 80 * 1024**2
"""Bytes of each raylet's object store, which holds nothing."""
QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0"}

Nodes = tuple[int, int]
"""A cluster: the number of nodes, and the GPUs of each."""


@contextlib.contextmanager
def cluster(nodes: Nodes, cores: int, ready: "Future[None]") -> Iterator[None]:
    """A Ray cluster of fake nodes, and a connection to it; both end with the context.

    Args:
        nodes: The nodes.
        cores: CPU cores of each: those of the whole run, so that GPUs decide.
        ready: What the context waits for besides.
    """
    with _environment():
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster()
        try:
            for count in merged(nodes[0]):
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


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """A folder for Ray's files, and neither another cluster nor the machine's GPUs in the environment."""
    with (
        tempfile.TemporaryDirectory(prefix="vr1", dir="/tmp" if os.path.isdir("/tmp") else None) as folder,
        mock.patch.dict(os.environ, QUIET, RAY_TMPDIR=folder),
    ):
        for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES"):
            os.environ.pop(name, None)
        yield


def merged(nodes: int) -> list[int]:
    """The number of nodes that each raylet stands for.

    Example:
        >>> merged(3), merged(10)
        ([1, 1, 1], [3, 3, 2, 2])
    """
    raylets = min(nodes, RAYLETS)
    return [nodes // raylets + (raylet < nodes % raylets) for raylet in range(raylets)]


def shown(nodes: Nodes) -> str:
    """A cluster in words.

    Example:
        >>> shown((1, 8)), shown((2, 8))
        ('1 node x 8 GPUs', '2 nodes x 8 GPUs')
    """
    return f"{nodes[0]:,} {'node' if nodes[0] == 1 else 'nodes'} x {nodes[1]:,} GPUs"
