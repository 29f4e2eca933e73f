"""verl's own workers on fake ranks: rank 0 of the run's training GPUs, in this process."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from verl.utils.tensordict_utils import get_non_tensor_data

from verl_vision_r1.preflight.rehearse.batch import jagged
from verl_vision_r1.preflight.rehearse.fake_device import FakeDevice
from verl_vision_r1.preflight.rehearse.memory import Memory


def start_ranks(ranks: int) -> None:
    """Join a process group of which only this rank exists: collectives return at once, with the right shapes."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    environment = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": ranks, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}
    os.environ.update({name: str(value) for name, value in environment.items()})
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)


def make_worker(config: Any, role: str, device: FakeDevice) -> Any:
    """Build a worker of verl with its model, sharded over the ranks.

    Args:
        config: `actor_rollout_ref` of the run.
        role: `actor` or `ref`.
        device: The fake GPU.
    """
    from verl.workers.engine_workers import ActorRolloutRefWorker

    worker = ActorRolloutRefWorker(config=config, role=role)
    with device:
        worker.init_model()
    engine = getattr(worker, role).engine
    device.memory.mark(engine.module.parameters(), _place(engine))
    return worker


def _place(engine: Any) -> str:
    offloaded = engine.is_param_offload_enabled or engine._uses_fsdp2_cpu_offload_policy
    return "host" if offloaded else "parameters"


def update_as_on_cuda(optimizer: Any) -> None:
    """Update all parameters at once, with one more array of their size: torch's default on a GPU, but not on a CPU."""
    for group in optimizer.param_groups:
        group["foreach"] = True


@contextlib.contextmanager
def watched(memory: Memory) -> Iterator[None]:
    """Tell the memory what FSDP2 gathers and reduces, and what verl moves to the host and back."""
    from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup
    from verl.workers.engine import base
    from verl.workers.engine.fsdp import transformer_impl

    def gathered(group: Any, *args: Any) -> None:
        memory.mark((tensor for part in group.fsdp_params for tensor in part.all_gather_outputs), "unsharded")
        memory.mark((getattr(part, "_unsharded_param", None) for part in group.fsdp_params), "unsharded")

    def reduced(group: Any, *args: Any) -> None:
        for part in group.fsdp_params:
            memory.mark([part.sharded_param.grad], "host" if part.offload_to_cpu else "gradients")

    def moved(engine: Any, device: str, model: bool = True, optimizer: bool = True, grad: bool = True) -> None:
        away = device == "cpu"
        if engine.engine_config.forward_only:
            return
        if model:
            memory.mark(engine.module.parameters(), "host" if away else "parameters")
        if model and grad:
            memory.mark((part.grad for part in engine.module.parameters()), "host" if away else "gradients")
        if optimizer and engine.optimizer:
            memory.mark(moments(engine.optimizer), "host" if away else "moments")

    with (
        _after(FSDPParamGroup, "wait_for_unshard", gathered),
        _after(FSDPParamGroup, "post_backward", reduced),
        # verl moves to "cpu" or to the name of the device, which is the same word here.
        _replaced(transformer_impl.FSDPEngine, "to", moved),
        _replaced(base, "get_device_name", lambda: "fake"),
    ):
        yield


def moments(optimizer: Any) -> Iterator[torch.Tensor]:
    """The state of an optimizer."""
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, torch.Tensor) and value.dim())


@contextlib.contextmanager
def _after(owner: Any, name: str, then: Any) -> Iterator[None]:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        then(*args)
        return result

    with _replaced(owner, name, wrapped):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, original)


class MicroBatches:
    """The micro-batches that verl makes of a batch, of which two are computed: they cover the peak.

    The largest one and the last one: gradients of the first are there while the second is computed. In a pass without
    gradients the largest is enough.

    Attributes:
        tokens: Tokens of each micro-batch of the last pass.
        sequences: Sequences of each.
    """

    def __init__(self, memory: Memory) -> None:
        self.tokens: list[int] = []
        self.sequences: list[int] = []
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
            _replaced(transformer_impl, "prepare_micro_batches", prepared),
            _replaced(engine, "forward_step", forward),
        ):
            yield

    def _choose(self, batches: Sequence[Any]) -> None:
        self.tokens = [int(batch["input_ids"].offsets()[-1]) for batch in batches]
        self.sequences = [len(batch) for batch in batches]
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
