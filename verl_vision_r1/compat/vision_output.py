"""verl #6814, verl 0.9 and 0.10.0.dev with transformers 5.

There the vision tower returns an output object, where verl expects a tensor. GLM-4.1V does not train at all. Qwen2-VL
and Qwen2.5-VL fail at a micro-batch without an image, which can occur in any run, after hours, when verl pads a batch
that lost a prompt (`trainer/ppo/padding_utils.py`).

https://github.com/verl-project/verl/issues/6814. verl's main branch has the fix for Qwen (seen at commit 0c63411).
Remove when the first release includes it.
"""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import torch

from verl_vision_r1.compat.workaround import Workaround


class _Tower(torch.nn.Module):
    def forward(self, pixels: torch.Tensor, grid_thw: torch.Tensor) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        return BaseModelOutputWithPooling(pooler_output=torch.zeros(4, 1))


class _Model:
    """What verl reads of a model to embed a text without an image."""

    def __init__(self) -> None:
        self.visual = _Tower()
        vision = SimpleNamespace(in_channels=3, temporal_patch_size=2, patch_size=14)
        self.config = SimpleNamespace(vision_config=vision)

    def get_input_embeddings(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda ids: torch.zeros(*ids.shape, 1)


def needed(module: ModuleType) -> bool:
    """Whether a text without an image cannot be embedded."""
    embed, text = module._get_input_embeds, torch.zeros(1, 1, dtype=torch.long)
    try:
        embed(_Model(), text)
    except AttributeError:
        return True
    return False


def patch(module: ModuleType) -> None:
    """Give verl the tensor."""
    module._get_input_embeds = with_tensor_of_the_vision_tower(module._get_input_embeds)  # type: ignore[attr-defined]


def with_tensor_of_the_vision_tower(embed: Callable[..., Any]) -> Callable[..., Any]:
    """Make the vision tower return only the tensor while `embed` runs.

    Args:
        embed: A function whose first argument is the model, and which calls the model's `visual`.
    """

    def patched(model: Any, *arguments: Any, **options: Any) -> Any:
        with model.visual.register_forward_hook(lambda tower, given, output: getattr(output, "pooler_output", output)):
            return embed(model, *arguments, **options)

    return patched


OF_QWEN: Final = Workaround(
    "Qwen2-VL without an image", 6814, ">=0.9,<0.11", "verl.models.transformers.qwen2_vl", needed, patch
)
OF_GLM: Final = Workaround("images of GLM-4.1V", 6814, ">=0.9,<0.11", "verl.models.transformers.glm4v", needed, patch)
