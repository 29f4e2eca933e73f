"""Frozen vision towers for verl's FSDP engines.

verl 0.9 declares `actor.freeze_vision_tower` but never reads it. Our engine replaces verl's through verl's registry,
which prefers an engine for the current vendor to a generic one; importing `freeze_vision_tower` or `freeze_vision`
registers it. The Hydra group `vision_r1/freeze` sets that module as `model.external_lib`, which verl imports only in
the workers that load the model.
"""

import re
from typing import Any, Final

import torch
from verl.utils.device import get_vendor
from verl.workers.config.optimizer import build_optimizer
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_vision_r1.families import CONNECTORS, TOWERS

VISION: Final = re.compile(rf"(^|\.)({'|'.join((*TOWERS, *CONNECTORS))})\.")
CONNECTOR: Final = re.compile(rf"(^|\.)({'|'.join(CONNECTORS)})\.")
"""Name patterns of the vision parameters and the connector."""


def freeze(module: torch.nn.Module, *, connector: bool) -> list[str]:
    """Freeze the vision tower of a model.

    Args:
        module: The model.
        connector: Whether to freeze the connector to the language model too.

    Returns:
        The names of the frozen parameters.

    Raises:
        ValueError: The model has no parameter with the name of a known vision tower.
    """
    frozen = []
    for name, parameter in module.named_parameters():
        if VISION.search(name) and (connector or not CONNECTOR.search(name)):
            parameter.requires_grad_(False)
            frozen.append(name)
    if not frozen:
        some = [name for name, _ in module.named_parameters()][:5]
        raise ValueError(f"vision_r1/freeze: expected a model with a vision tower, got parameters such as {some}")
    return frozen


def register_engine(*, connector: bool) -> type[FSDPEngineWithLMHead]:
    """Make verl build models with a frozen vision tower, in this process."""

    class FrozenVisionEngine(FSDPEngineWithLMHead):
        def _build_module(self) -> Any:
            module = super()._build_module()
            frozen = freeze(module, connector=connector)
            print(f"verl-vision-r1: {len(frozen)} vision parameters are frozen")
            return module

        def _build_optimizer(self, module: torch.nn.Module) -> Any:
            return build_optimizer([part for part in module.parameters() if part.requires_grad], self.optimizer_config)

    register = EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=get_vendor()
    )
    registered: type[FSDPEngineWithLMHead] = register(FrozenVisionEngine)
    return registered
