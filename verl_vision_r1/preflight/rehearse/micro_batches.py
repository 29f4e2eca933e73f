"""The micro-batches that verl makes of a batch, of which two are computed."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import torch
from verl.utils.tensordict_utils import get_non_tensor_data

from verl_vision_r1.preflight.rehearse.batch import jagged
from verl_vision_r1.preflight.rehearse.memory import Memory


class MicroBatches:
    """The micro-batches that verl makes of a batch, of which two are computed: they cover the peak.

    The largest one and the last one: gradients of the first are there while the second is computed. In a pass without
    gradients the largest is enough.

    Attributes:
        tokens: Tokens of each micro-batch of the last pass.
    """

    def __init__(self, memory: Memory) -> None:
        self.tokens: list[int] = []
        self._memory = memory
        self._computed: list[Any] = []

    @contextlib.contextmanager
    def of(self, engine: Any, batch: Any) -> Iterator[None]:
        """Compute only some micro-batches of an engine's passes over a batch."""
        from verl.workers.engine.fsdp import transformer_impl

        prepare, step = transformer_impl.prepare_micro_batches, engine.forward_step

        def prepared(*args: Any, **kwargs: Any) -> Any:
            batches, indices = prepare(*args, **kwargs)
            self._choose(batches)
            return batches, indices

        def forward(micro_batch: Any, loss_function: Any, forward_only: bool) -> Any:
            chosen = self._computed[:1] if forward_only else self._computed
            if not any(micro_batch is batch for batch in chosen):
                return _skipped(micro_batch)
            self._memory.mark(_pixels(micro_batch), "activations")
            loss, output = step(micro_batch, loss_function=loss_function, forward_only=forward_only)
            self._memory.mark_temporary("activations")
            self._memory.mark(_pixels(micro_batch), "host")
            return loss, {**output, "model_output": _values(output["model_output"], micro_batch)}

        self._memory.mark(_pixels(batch), "host")
        with (
            mock.patch.object(transformer_impl, "prepare_micro_batches", prepared),
            mock.patch.object(engine, "forward_step", forward),
        ):
            yield

    def _choose(self, batches: Sequence[Any]) -> None:
        self.tokens = [int(batch["input_ids"].offsets()[-1]) for batch in batches]
        largest = self.tokens.index(max(self.tokens))
        last = len(batches) - 1
        self._computed = [batches[largest], batches[last if largest != last else 0]]


def _pixels(batch: Any) -> Iterator[torch.Tensor]:
    """The images of a batch: on the host, but for those of the micro-batch that is being computed."""
    for inputs in batch["multi_modal_inputs"]:
        yield getattr(inputs, "data", inputs)["pixel_values"]


def _skipped(micro_batch: Any) -> Any:
    entropy = get_non_tensor_data(micro_batch, "calculate_entropy", False)
    values = _values(("log_probs", "entropy") if entropy else ("log_probs",), micro_batch)
    return torch.tensor(1.0, requires_grad=True), {"model_output": values, "loss": 1.0, "metrics": {}}


def _values(outputs: Any, micro_batch: Any) -> dict[str, torch.Tensor]:
    """Real numbers for what verl reads back from the GPU: one per token."""
    lengths = micro_batch["input_ids"].offsets().diff().tolist()
    return {name: jagged(torch.tensor([1.0] * sum(lengths)), lengths) for name in outputs}
