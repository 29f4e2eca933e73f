"""The LoRA adapter: each matrix that is sent has a layer in vLLM's model."""

from collections.abc import Sequence
from typing import Any, Final

from verl_vision_r1.preflight.doctor.check import FailedError
from verl_vision_r1.preflight.rehearse.rollout_engine.checks import message
from verl_vision_r1.preflight.rehearse.weight_transfer.model import in_worker
from verl_vision_r1.preflight.rehearse.weight_transfer.weights import Weights, listed

LINEAR: Final = "actor_rollout_ref.model.target_modules=all-linear"
LANGUAGE: Final = "actor_rollout_ref.model.exclude_modules='.*visual.*'"


def load_adapter(receiver: Any, weights: Weights, config: Any) -> int:
    """Load the adapter's matrices into vLLM's layers.

    Returns:
        Their number.

    Raises:
        FailedError: None is sent, one is refused, or vLLM has no layer for it.
    """
    model = config.actor_rollout_ref.model
    if not weights:
        targets = f"actor_rollout_ref.model.target_modules={model.target_modules}"
        raise FailedError(f"no adapter is sent: {targets} matches no layer", LINEAR)
    try:
        with in_worker(receiver.model_runner.vllm_config):
            receiver._update_weights(weights, _peft_config(model), True)
    except Exception as error:
        raise FailedError(f"vLLM does not take the adapter: {message(error)}") from error
    manager = receiver.lora_manager._adapter_manager
    ((_, adapter),) = manager.list_adapters().items()
    if unmatched := sorted(set(adapter.loras) - set(manager.modules)):
        (fault,) = listed(unmatched, f"of {len(adapter.loras):,} adapters have no layer in vLLM and would be ignored")
        raise FailedError(fault, _targets(unmatched, len(adapter.loras)))
    return len(weights)


def _peft_config(model: Any) -> dict[str, Any]:
    """The adapter's configuration, which verl sends with it."""
    from peft import LoraConfig, PeftConfig

    if model.get("lora_adapter_path"):
        found = PeftConfig.from_pretrained(model.lora_adapter_path)
    else:
        found = LoraConfig(r=model.lora_rank, lora_alpha=model.lora_alpha, bias="none", task_type="CAUSAL_LM")
    return dict(found.to_dict())


def _targets(unmatched: Sequence[str], adapters: int) -> str:
    """Overrides with which the adapters are those of layers that vLLM has."""
    if not all("visual" in name for name in unmatched):
        return LINEAR
    return LANGUAGE if len(unmatched) < adapters else f"{LINEAR} {LANGUAGE}"
