"""Whether Ray's workers see the same as this process: on a cluster of its own, or on the one of RAY_ADDRESS."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import Case, Check, FailedError, check
from verl_vision_r1.preflight.doctor.cluster import Seen, look
from verl_vision_r1.training.process import end_group

NAME: Final = "Ray's workers"
LEFT_OUT: Final = Check(NAME, None, "left out, as asked")
LIMIT: Final = 120.0
"""Seconds until the check is given up."""
SHARE: Final = 0.75
"""Of these, what the workers have once the cluster is up."""
LONGEST: Final = 60
"""Characters of Ray's folder: it makes sockets there, whose paths must stay under 108."""
COMMAND: Final = (sys.executable, "-c", "from verl_vision_r1.preflight.doctor.cluster import main; main()")


@check(NAME, "install the same environment on every node, and start Ray from it; ray's logs may say more")
def workers(case: Case) -> str:
    """A worker on every node has loaded the plugin, with the versions of this process."""
    answers = ask_cluster(_runtime_env(case))
    here = look()
    wrong = [f"{answer['node']}: {line}" for answer in answers for line in differences(answer, here)]
    if wrong or not answers:
        raise FailedError("; ".join(wrong) or "the cluster has no node")
    places = sorted({str(answer["package"]) for answer in answers})
    cluster = f"RAY_ADDRESS={address}" if (address := os.environ.get("RAY_ADDRESS")) else "a cluster of its own"
    return f"{len(answers)} of {len(answers)} nodes of {cluster} load the plugin from {', '.join(places)}"


def differences(answer: Seen, here: Seen) -> Iterator[str]:
    """What is wrong with what a worker sees.

    Args:
        answer: What the worker sees.
        here: What this process sees.
    """
    if "error" in answer:
        yield str(answer["error"])
        return
    if not answer["package"]:
        yield "lacks the package verl-vision-r1"
    elif not answer["plugin"] or not answer["manager"]:
        yield "verl has not loaded the plugin, the reward manager vision_r1 is not registered"
    if answer["python"] != here["python"]:
        yield f"Python {answer['python']}, here {here['python']}"
    for name in sorted({*answer["versions"], *here["versions"]}):
        there, own = (seen["versions"].get(name, "none") for seen in (answer, here))
        if there != own and (answer["package"] or name != "verl-vision-r1"):
            yield f"{name} {there}, here {own}"


def ask_cluster(runtime_env: dict[str, Any]) -> list[Seen]:
    """Ask a worker on every node.

    Args:
        runtime_env: The environment that the run wants of Ray.

    Raises:
        FailedError: Nothing came within the limit, or Ray did not start.
    """
    if os.environ.get("RAY_ADDRESS"):
        return _answers({}, runtime_env)
    folder = _folder()
    own = {"address": "local", "num_cpus": 2, "include_dashboard": False, "_temp_dir": folder}
    try:
        return _answers({**own, "object_store_memory": 100 * 2**20}, runtime_env)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="vr1-")
    if len(folder) < LONGEST:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="vr1-", dir="/tmp")


def _answers(init: dict[str, Any], runtime_env: dict[str, Any]) -> list[Seen]:
    order = {"init": {**init, "runtime_env": runtime_env}, "seconds": LIMIT * SHARE}
    process = subprocess.Popen(
        [*COMMAND, json.dumps(order)],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"Ray gave no answer within {LIMIT:.0f} seconds") from error
    finally:
        end_group(process, polite=10.0)
    if process.returncode:
        raise FailedError(f"Ray: {(errors.strip().splitlines() or ['no word'])[-1]}")
    answers: list[Seen] = json.loads(output.splitlines()[-1])
    return answers


def _runtime_env(case: Case) -> dict[str, Any]:
    from omegaconf import OmegaConf

    config = next(iter(case.configs.values()), None) if case.overrides else None
    wanted = OmegaConf.select(config, "ray_kwargs.ray_init.runtime_env") if config is not None else None
    plain = OmegaConf.to_container(wanted, resolve=True) if wanted is not None else {}
    return {str(key): value for key, value in dict(plain).items() if value is not None}  # type: ignore[arg-type]
