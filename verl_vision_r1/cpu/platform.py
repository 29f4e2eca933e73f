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
    """`torch.cpu` with the calls that verl makes to `torch.cuda`: memory of the process, one random generator."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def memory_allocated(self, device: object = None) -> int:
        """Bytes that the process holds now."""
        return int(psutil.Process().memory_info().rss)

    def max_memory_allocated(self, device: object = None) -> int:
        """Bytes that the process held at most."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    memory_reserved = memory_allocated
    max_memory_reserved = max_memory_allocated

    def mem_get_info(self, device: object = None) -> tuple[int, int]:
        """Free and total bytes of the machine."""
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def get_device_name(self, device: object = None) -> str:
        """The name under which verl looks up the peak FLOPS: it knows none for it."""
        return "cpu"

    def nothing(self, *args: object, **kwargs: object) -> None:
        """Answer a call that has no meaning on a CPU."""

    empty_cache = ipc_collect = reset_peak_memory_stats = set_device = synchronize = nothing
    reset_max_memory_allocated = nothing

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        """State of the one random generator."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        """Set the one random generator."""
        torch.set_rng_state(state)

    def manual_seed(self, seed: int) -> None:
        """Seed the one random generator."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed


DEVICE = CpuDevice("verl_vision_r1.cpu.device")


class PlatformCPU(PlatformBase):
    """One CPU device, gloo for communication; Ray counts it as a GPU, since verl's pools ask for that."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = DEVICE

    def is_available(self) -> bool:
        """Whether the platform can be used: always."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Whether verl may choose it unasked: never; only `VERL_PLATFORM=cpu` does."""
        return False

    def current_device(self) -> Any:
        """A device, not a number: verl passes it to `Tensor.to`, where a number would mean a GPU."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """One."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Nothing to choose."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Nothing to wait for."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        """The allocator has none."""

    def empty_cache(self) -> None:
        """There is no cache."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        """CUDA's notion; a CPU has none."""
        return None, None

    def communication_backend_name(self) -> str:
        """The backend of torch.distributed."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable by which Ray hides the GPUs that it counts."""
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
        """The resource that verl's worker pools ask Ray for."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Variables that keep Ray from hiding devices."""
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        """No: weights travel to vLLM through shared memory instead."""
        return False

    def cudart(self) -> None:
        """There is no CUDA runtime."""


def register() -> None:
    """Make the platform known to verl under the name `cpu`."""
    PlatformRegistry.register("cpu")(PlatformCPU)
