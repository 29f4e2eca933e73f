"""Imported by the training worker as `model.external_lib`: measures the memory and micro-batches of its steps."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.engine_workers import TrainingWorker

from verl_vision_r1.cpu import shared_images
from verl_vision_r1.preflight.rehearse.memory import Memory, total
from verl_vision_r1.preflight.rehearse.workers import moments, watched


class Counted(TorchDispatchMode):
    """Counts real tensors as a rehearsal counts fake ones."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if (
                isinstance(leaf, torch.Tensor)
                and type(leaf) in (torch.Tensor, torch.nn.Parameter)
                and not leaf.is_nested
            ):
                self.memory.add(leaf)
        return result


def all_differ(images: Sequence[torch.Tensor], grid: torch.Tensor) -> tuple[list[int], list[int]]:
    """A GPU encodes the image of every rollout, and so does a rehearsal."""
    each = list(range(len(images)))
    return each, each


shared_images.distinct = all_differ
train, step = TrainingWorker.train_mini_batch, transformer_impl.FSDPEngine.optimizer_step
prepare = transformer_impl.prepare_micro_batches
SEEN: dict[str, Any] = {}


MEMORY = Memory()
WATCHED = watched(MEMORY)
WATCHED.__enter__()  # For good: FSDP2 keeps the functions that it finds in the first step.
torch.UntypedStorage.resize_ = MEMORY.counting(torch.UntypedStorage.resize_)  # type: ignore[method-assign]


def measured(self: Any, data: Any) -> Any:
    MEMORY.mark(self.engine.module.parameters(), "parameters")
    MEMORY.mark(moments(self.engine.optimizer), "moments")
    with Counted(MEMORY), MEMORY.phase("update"):
        output = train(self, data)
    SEEN.update(state=MEMORY.peaks["optimizer step"], peak=total(MEMORY.peaks["update"]))
    with Path(os.environ["MEASURED_STEPS"]).open("a") as lines:
        lines.write(json.dumps(SEEN) + "\n")
    return output


def stepped(self: Any) -> Any:
    with MEMORY.phase("optimizer step"):
        return step(self)


def prepared(*args: Any, **kwargs: Any) -> Any:
    batches, indices = prepare(*args, **kwargs)
    SEEN["sequences"] = [len(batch) for batch in batches]
    SEEN["longest"] = max(int(batch["input_ids"].offsets().diff().max()) for batch in batches)
    return batches, indices


TrainingWorker.train_mini_batch = measured  # type: ignore[method-assign]
transformer_impl.FSDPEngine.optimizer_step = stepped  # type: ignore[method-assign]
transformer_impl.prepare_micro_batches = prepared
