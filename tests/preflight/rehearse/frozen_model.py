"""An external library of a user that freezes the whole model."""

from typing import Any

from verl.utils.device import get_vendor
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_vision_r1.training.frozen import build_optimizer


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cuda", vendor=get_vendor())
class FrozenEngine(FSDPEngineWithLMHead):
    def _build_module(self) -> Any:
        return super()._build_module().requires_grad_(False)

    def _build_optimizer(self, module: Any) -> Any:
        return build_optimizer([part for part in module.parameters() if part.requires_grad], self.optimizer_config)
