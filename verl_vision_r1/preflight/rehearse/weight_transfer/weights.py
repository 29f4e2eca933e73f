"""The weights of the model: each one that is sent is taken, and each parameter is loaded in full."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import torch

from verl_vision_r1.preflight.doctor.check import FailedError
from verl_vision_r1.preflight.rehearse.rollout_engine.checks import message
from verl_vision_r1.preflight.rehearse.weight_transfer.model import in_worker
from verl_vision_r1.preflight.rehearse.weight_transfer.writes import Writes, storage

VERSIONS: Final = "install the versions of transformers and vLLM that verl pins: pip install 'verl[vllm]'"
SHOWN: Final = 3
"""Number of names in a message."""

Weights = list[tuple[str, torch.Tensor]]


def load_weights(receiver: Any, weights: Weights) -> int:
    """Load weights into the receiver's model.

    Returns:
        Their number.

    Raises:
        FailedError: One is refused or ignored, or a parameter is not loaded in full.
    """
    made, model, writes = receiver.model_runner.vllm_config, receiver.model_runner.model, Writes()
    loaded = _record(model)
    try:
        with in_worker(made), writes:
            receiver._update_weights(weights, {"adapter": True} if receiver.lora_manager else None, False)
    except Exception as error:
        raise FailedError(f"vLLM does not take {_last(loaded, weights)}: {_reason(error)}", VERSIONS) from error
    ignored = [name for name, part in weights if storage(part) not in writes.read and not _elsewhere(made, name)]
    missing = [name for name, part in model.named_parameters() if writes.written[storage(part)] < part.numel()]
    faults = [
        *listed(ignored, f"of {len(weights):,} weights are sent but not taken"),
        *listed(missing, "of vLLM's parameters are not sent, or only in part"),
    ]
    if faults:
        raise FailedError("; ".join(faults), VERSIONS)
    return len(weights)


def _record(model: Any) -> list[str]:
    """The names that a model loads, in order, filled as it loads them."""
    load, names = model.load_weights, []

    def load_and_record(weights: Iterable[tuple[str, torch.Tensor]]) -> Any:
        return load((names.append(name) or name, part) for name, part in weights)  # type: ignore[func-returns-value]

    model.load_weights = load_and_record
    return names


def _last(loaded: Sequence[str], weights: Weights) -> str:
    shapes = {name: list(part.shape) for name, part in weights}
    name = loaded[-1] if loaded else "the weights"
    return f"{name} {shapes.get(name.replace('.base_layer', ''), shapes.get(name, ''))}".strip()


def _reason(error: Exception) -> str:
    """The message without vLLM's list of all parameters; its loaders assert shapes without a message."""
    if isinstance(error, AssertionError) and not str(error):
        return "the shape is not that of its parameter"
    return message(error).partition(" The available parameters")[0]


def _elsewhere(made: Any, name: str) -> bool:
    """Whether vLLM rightly ignores a weight on rank 0: a head tied to the embedding, or another rank's expert."""
    model = made.model_config.hf_config
    tied = any(getattr(part, "tie_word_embeddings", False) for part in (model, model.get_text_config()))
    if name.endswith("lm_head.weight"):
        return tied
    return bool(made.parallel_config.enable_expert_parallel) and ".experts." in name


def listed(names: Sequence[str], what: str) -> Iterator[str]:
    """The number of names and the first of them; nothing if there are none.

    Example:
        >>> list(listed(["a", "b", "c", "d"], "weights are not taken")), list(listed([], "weights are not taken"))
        (['4 weights are not taken: a, b, c, ...'], [])
    """
    if names:
        more = ", ..." if len(names) > SHOWN else ""
        yield f"{len(names):,} {what}: {', '.join(itertools.islice(names, SHOWN))}{more}"
