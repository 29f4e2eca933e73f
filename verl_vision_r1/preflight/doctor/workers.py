"""Check of the Ray workers: they have the packages of this process, on a local cluster or that of RAY_ADDRESS."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import Case, Check, FailedError, check
from verl_vision_r1.preflight.doctor.cluster import Environment, environment
from verl_vision_r1.training.process import end_group, start_group

NAME: Final = "Ray workers"
SKIPPED: Final = Check(NAME, None, "--no-ray")
TIMEOUT: Final = 120.0
"""Seconds until the check fails."""
WORKER_FRACTION: Final = 0.75
"""Fraction of `TIMEOUT` for the workers, once the cluster is up."""
LONGEST: Final = 60
"""Maximum number of characters of Ray's folder: the paths of the sockets in it must be shorter than 108."""
COMMAND: Final = (sys.executable, "-c", "from verl_vision_r1.preflight.doctor.cluster import main; main()")


@check(NAME, "install the same environment on every node and start Ray from it; see also Ray's logs")
def workers(case: Case) -> str:
    """A worker on every node has loaded the plugin and this process's versions; a cluster has the GPUs of the run."""
    found = worker_environments(_runtime_env(case))
    local = environment()
    wrong = [f"{worker['node']}: {line}" for worker in found for line in differences(worker, local)]
    if wrong or not found:
        raise FailedError("; ".join(wrong) or "the cluster has no node")
    _check_gpus(case, [float(worker.get("gpus", 0)) for worker in found])
    folders = sorted({str(worker["package"]) for worker in found})
    cluster = f"RAY_ADDRESS={address}" if (address := os.environ.get("RAY_ADDRESS")) else "a local cluster"
    return f"{len(found)} of {len(found)} nodes of {cluster} load the plugin from {', '.join(folders)}"


def _check_gpus(case: Case, gpus: list[float]) -> None:
    """Check that the run finds its GPUs on the cluster of RAY_ADDRESS; the check `GPUs` looks at this machine only.

    Args:
        case: The run.
        gpus: Ray's number of GPUs on each node.
    """
    config = _config(case)
    if config is None or config.trainer.device != "cuda" or not os.environ.get("RAY_ADDRESS"):
        return
    per_node, nodes = int(config.trainer.n_gpus_per_node), int(config.trainer.nnodes)
    if sum(number >= per_node for number in gpus) < nodes:
        shown = ", ".join(f"{number:g}" for number in gpus)
        raise FailedError(
            f"trainer.nnodes is {nodes} and trainer.n_gpus_per_node {per_node}, but the nodes of RAY_ADDRESS have"
            f" {shown} GPUs",
            "start Ray on more nodes, with --num-gpus if it does not find their GPUs, or lower the two keys",
        )


def differences(worker: Environment, local: Environment) -> Iterator[str]:
    """How the environment of a worker differs from that of this process.

    Args:
        worker: The environment of the worker.
        local: The environment of this process.
    """
    if "error" in worker:
        yield str(worker["error"])
        return
    if not worker["package"]:
        yield "the package verl-vision-r1 is not installed"
    elif not worker["plugin"] or not worker["manager"]:
        yield "verl has not loaded the plugin: the reward manager vision_r1 is not registered"
    if worker["python"] != local["python"]:
        yield f"expected Python {local['python']} as here, got {worker['python']}"
    for name in sorted({*worker["versions"], *local["versions"]}):
        got, expected = (each["versions"].get(name, "none") for each in (worker, local))
        if got != expected and (worker["package"] or name != "verl-vision-r1"):
            yield f"expected {name} {expected} as here, got {got}"


def worker_environments(runtime_env: dict[str, Any]) -> list[Environment]:
    """The environment of a worker on every node.

    Args:
        runtime_env: Ray's `runtime_env` of the run.

    Raises:
        FailedError: Ray did not start, or did not respond in time.
    """
    if os.environ.get("RAY_ADDRESS"):
        return _run_cluster({}, runtime_env)
    folder = _folder()
    local = {"address": "local", "num_cpus": 2, "include_dashboard": False, "_temp_dir": folder}
    try:
        return _run_cluster({**local, "object_store_memory": 100 * 2**20}, runtime_env)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="vr1-")
    if len(folder) < LONGEST:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="vr1-", dir="/tmp")


def _run_cluster(init: dict[str, Any], runtime_env: dict[str, Any]) -> list[Environment]:
    arguments = {"init": {**init, "runtime_env": runtime_env}, "seconds": TIMEOUT * WORKER_FRACTION}
    variables = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    process = start_group([*COMMAND, json.dumps(arguments)], variables, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"Ray: no response within {TIMEOUT:.0f} seconds") from error
    finally:
        end_group(process, polite=10.0)
    if process.returncode:
        reason = errors.strip().splitlines() or [f"exit status {process.returncode}, no message"]
        raise FailedError(f"Ray: {reason[-1]}")
    found: list[Environment] = json.loads(output.splitlines()[-1])
    return found


def _config(case: Case) -> Any:
    """The configuration of the run; None without a run, or if it does not compose."""
    return next(iter(case.configs.values()), None) if case.overrides else None


def _runtime_env(case: Case) -> dict[str, Any]:
    from omegaconf import OmegaConf

    config = _config(case)
    key = "ray_kwargs.ray_init.runtime_env"
    configured = OmegaConf.select(config, key) if config is not None else None
    plain = OmegaConf.to_container(configured, resolve=True) if configured is not None else {}
    return {str(key): value for key, value in dict(plain).items() if value is not None}  # type: ignore[arg-type]
