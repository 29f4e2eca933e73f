"""An external library of a user that freezes the whole model, in every engine of this process."""

from typing import Any

from verl.workers.config.optimizer import build_optimizer
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

build = FSDPEngineWithLMHead._build_module


def frozen(self: Any) -> Any:
    return build(self).requires_grad_(False)


def optimizer(self: Any, module: Any) -> Any:
    return build_optimizer([part for part in module.parameters() if part.requires_grad], self.optimizer_config)


FSDPEngineWithLMHead._build_module = frozen
FSDPEngineWithLMHead._build_optimizer = optimizer
