"""Wait until a Ray cluster has the GPU nodes that a run needs: wait_for_nodes.py NODES --gpus GPUS."""

import argparse
import os
import socket
import sys
import time

import ray


def main() -> int:
    """Wait for the cluster at RAY_ADDRESS; the exit status is 1 if it has too few nodes at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", type=int, help="number of nodes")
    parser.add_argument("--gpus", type=int, default=8, help="minimum GPUs per node")
    parser.add_argument("--seconds", type=float, default=600, help="time limit")
    wanted = parser.parse_args()
    end = time.monotonic() + wanted.seconds
    while (found := nodes_with_gpus(wanted.gpus)) < wanted.nodes:
        if time.monotonic() > end:
            print(f"expected {wanted.nodes} nodes with {wanted.gpus} GPUs each in Ray, got {found}", file=sys.stderr)
            return 1
        time.sleep(min(2.0, wanted.seconds))
    return 0


def nodes_with_gpus(least: int) -> int:
    """Number of live nodes with at least `least` GPUs; 0 while the head node does not respond."""
    if not ray.is_initialized():
        if not listens(os.environ.get("RAY_ADDRESS", "auto")):
            return 0
        ray.init(log_to_driver=False)
    return sum(node["Alive"] and node["Resources"].get("GPU", 0) >= least for node in ray.nodes())


def listens(address: str) -> bool:
    """Whether a process listens at host:port. Ray itself would wait for an absent head node forever."""
    host, colon, port = address.rpartition(":")
    if not colon:  # `auto`: the cluster of this machine.
        return True
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
