"""What the tests of the checks share: the platform, and stand-ins for GPUs."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process started for the CPU: another test may have imported verl without it."""
    from verl_vision_r1.cpu import platform

    platform.register()
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let torch see this number of GPUs of this memory in GiB; there is no `nvidia-smi`."""
    import torch

    def see(count: int, memory: float = 80.0, last: float | None = None) -> None:
        sizes = [memory] * (count - 1) + [last or memory]
        found = [SimpleNamespace(name="NVIDIA A100", total_memory=int(size * 2**30)) for size in sizes]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_properties", found.__getitem__)
        monkeypatch.setenv("PATH", "")

    return see
