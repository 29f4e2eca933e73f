"""verl #7520, verl 0.9 and 0.10.0.dev, FSDP2 with fused kernels.

Since https://github.com/verl-project/verl/pull/5516, an output head that is not tied to the embedding is an FSDP2 unit
of its own. The fused kernels read its weight without calling it, so it is still sharded: Qwen2-VL-7B and Qwen2.5-VL
from 7B on fail in the first forward pass ("got mixed torch.Tensor and DTensor").

https://github.com/verl-project/verl/issues/7520. Remove when https://github.com/verl-project/verl/pull/7427 or an
equivalent fix is released.
"""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import torch

from verl_vision_r1.compat.workaround import Workaround

FUSED: Final = ("forward_with_torch_backend", "forward_with_triton_backend")
"""Names of the functions that verl puts in the place of a model's `forward` where kernels are fused."""


class _Fused(torch.nn.Module):
    """A model of an output head alone, with fused kernels."""

    config = SimpleNamespace(tie_word_embeddings=False)
    _verl_fused_kernels_backend = "torch"

    def __init__(self) -> None:
        super().__init__()
        self.lm_head = torch.nn.Linear(1, 1, device="meta")  # Its initial weights draw no random number.

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.lm_head

    def forward_with_torch_backend(self) -> None:
        """Its name alone is read."""

    forward = forward_with_torch_backend


def needed(module: ModuleType) -> bool:
    """Whether the output head becomes a unit of its own although kernels are fused."""
    model = _Fused()
    return any(unit is model.lm_head for unit in module._select_fsdp2_wrap_targets(model, ["Layer"]))


def patch(module: ModuleType) -> None:
    """Leave the output head in the root unit."""
    select = module._select_fsdp2_wrap_targets
    module._select_fsdp2_wrap_targets = without_fused_head(select)  # type: ignore[attr-defined]


def without_fused_head(select: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Leave the output head in the root unit, which is gathered during the whole forward pass, if kernels are fused.

    Args:
        select: verl's function from a model and the classes of its layers to the modules that become FSDP2 units.
    """

    def patched(model: Any, layers: Any) -> list[Any]:
        units = select(model, layers)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model  # An adapter of PEFT has one.
        if type(base).forward.__name__ not in FUSED:
            return units
        head = model.get_output_embeddings()
        return [unit for unit in units if unit is not head]

    return patched


WORKAROUND: Final = Workaround(
    "output head with fused kernels", 7520, ">=0.9,<0.11", "verl.utils.fsdp_utils", needed, patch
)
