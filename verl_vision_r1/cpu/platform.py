"""The CPU as a verl platform (`verl.plugin.platform`)."""

import contextlib
import resource
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry


class CpuDevice(ModuleType):
    """`torch.cpu` with the functions of `torch.cuda` that verl calls: process memory and one random generator."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def memory_allocated(self, device: object = None) -> int:
        """Resident memory of the process in bytes."""
        return int(psutil.Process().memory_info().rss)

    def max_memory_allocated(self, device: object = None) -> int:
        """Peak resident memory of the process in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    memory_reserved = memory_allocated
    max_memory_reserved = max_memory_allocated

    def mem_get_info(self, device: object = None) -> tuple[int, int]:
        """Available and total memory of the machine in bytes."""
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def get_device_name(self, device: object = None) -> str:
        """The name by which verl looks up the peak FLOPS; it has no entry for it."""
        return "cpu"

    def no_op(self, *args: object, **kwargs: object) -> None:
        """Do nothing: the function has no meaning on a CPU."""

    empty_cache = ipc_collect = reset_peak_memory_stats = set_device = synchronize = no_op
    reset_max_memory_allocated = no_op

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        """State of torch's random generator."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        """Set the state of torch's random generator."""
        torch.set_rng_state(state)

    def manual_seed(self, seed: int) -> None:
        """Seed torch's random generator."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed


DEVICE = CpuDevice("verl_vision_r1.cpu.device")


class PlatformCPU(PlatformBase):
    """One CPU device with gloo for communication; Ray counts it as a GPU, because verl's worker pools request GPUs."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = DEVICE

    def is_available(self) -> bool:
        """Whether the platform can be used: always true."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Whether verl may select it automatically: never; only `VERL_PLATFORM=cpu` selects it."""
        return False

    def current_device(self) -> Any:
        """A device, not an index: verl passes it to `Tensor.to`, where an index means a GPU."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """Number of devices: 1."""
        return 1

    def set_device(self, device_index: int) -> None:
        """No effect: there is one device."""

    def synchronize(self, device_index: int | None = None) -> None:
        """No effect on a CPU."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        """No effect on a CPU."""

    def empty_cache(self) -> None:
        """No effect on a CPU."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        """A CPU has no compute capability."""
        return None, None

    def communication_backend_name(self) -> str:
        """The backend of torch.distributed."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable by which Ray hides GPUs."""
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """No profiler."""
        yield

    def profiler_start(self) -> None:
        """No profiler."""

    def profiler_stop(self) -> None:
        """No profiler."""

    def ray_resource_name(self) -> str:
        """The resource that verl's worker pools request from Ray."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Variables that keep Ray from hiding devices."""
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        """No: weights are sent to vLLM through shared memory."""
        return False

    def cudart(self) -> None:
        """There is no CUDA runtime."""


def register() -> None:
    """Register the platform with verl under the name `cpu`."""
    PlatformRegistry.register("cpu")(PlatformCPU)
