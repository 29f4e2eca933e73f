"""A vision tower that stays as it is, for verl's FSDP engines.

verl 0.9 declares `actor.freeze_vision_tower` and reads it nowhere. An engine of ours takes the place of verl's by
verl's own registry, which prefers an engine for the vendor at hand to one for any; importing `freeze_vision_tower` or
`freeze_vision` registers it. The Hydra group `vision_r1/freeze` names that module in `model.external_lib`, which verl
imports in the workers that hold the model, and nowhere else.
"""

import re
from typing import Any, Final

import torch
from verl.utils.device import get_vendor
from verl.workers.config.optimizer import build_optimizer
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

CONNECTORS: Final = "merger|deepstack_merger_list|multi_modal_projector|mlp1"
VISION: Final = re.compile(rf"(^|\.)(visual|vision_tower|vision_model|{CONNECTORS})\.")
CONNECTOR: Final = re.compile(rf"(^|\.)({CONNECTORS})\.")
"""Parameters by name, of Qwen-VL, InternVL, GLM-V and LLaVA: of the vision part, and of its connector."""


def freeze(module: torch.nn.Module, *, connector: bool) -> list[str]:
    """Take the vision part of a model out of the training.

    Args:
        module: The model.
        connector: Whether what joins it to the language model is frozen too.

    Returns:
        The names of the parameters that are frozen now.

    Raises:
        ValueError: The model has no parameter that is known to be of a vision part.
    """
    frozen = []
    for name, parameter in module.named_parameters():
        if VISION.search(name) and (connector or not CONNECTOR.search(name)):
            parameter.requires_grad_(False)
            frozen.append(name)
    if not frozen:
        some = [name for name, _ in module.named_parameters()][:5]
        raise ValueError(f"vision_r1/freeze: expected a model with a vision part, got parameters such as {some}")
    return frozen


def register_engine(*, connector: bool) -> type[FSDPEngineWithLMHead]:
    """Make verl build models whose vision part is frozen, in this process."""

    class FrozenVisionEngine(FSDPEngineWithLMHead):
        def _build_module(self) -> Any:
            module = super()._build_module()
            frozen = freeze(module, connector=connector)
            print(f"verl-vision-r1: {len(frozen)} parameters of the vision part are frozen")
            return module

        def _build_optimizer(self, module: torch.nn.Module) -> Any:
            return build_optimizer([part for part in module.parameters() if part.requires_grad], self.optimizer_config)

    register = EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=get_vendor()
    )
    registered: type[FSDPEngineWithLMHead] = register(FrozenVisionEngine)
    return registered
