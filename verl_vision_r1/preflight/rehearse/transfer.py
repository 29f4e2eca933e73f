"""A step of a rehearsal: the weights that the actor sends are those that vLLM's model takes.

vLLM's model of the run is built on torch's `meta` device, as rank 0 of its tensor-parallel group, and verl's receiver
loads the actor's names and shapes into it. No weights are needed. Values, the transfer itself and what vLLM does with
the weights after loading are not checked.
"""

import contextlib
import importlib.util
import itertools
import json
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError
from verl_vision_r1.preflight.rehearse.rollout_engine import ROLLOUT, engine_config, message, use_folder
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed, main

VERSIONS: Final = "install the versions of transformers and vLLM that verl pins: pip install 'verl[vllm]'"
LINEAR: Final = "actor_rollout_ref.model.target_modules=all-linear"
SHOWN: Final = 3
"""Number of names in a message."""

Weights = list[tuple[str, torch.Tensor]]


def take(spec: Spec) -> Step:
    """Load what the actor sends into vLLM's model.

    Raises:
        FailedError: A weight is not taken, or a parameter is not loaded.
        SkippedError: vLLM is not the run's engine or not installed, or the actor's weights are not known.
    """
    config = composed(spec.overrides)
    _need(str(config.actor_rollout_ref.rollout.name), spec.sent)
    use_folder(config, spec.folder)
    base, adapter = read_sent(spec.sent)  # type: ignore[arg-type]
    receiver = make_receiver(config, bool(adapter))
    taken = [f"{_load(receiver, base):,} weights"] if base else []
    if receiver.lora_manager:
        taken.append(f"{_load_adapter(receiver, adapter, config):,} LoRA matrices")
    name = type(receiver.model_runner.model).__name__
    size = receiver.model_runner.vllm_config.parallel_config.tensor_parallel_size
    figures = {"weights": float(len(base)), "adapter_matrices": float(len(adapter))}
    return Step(True, f"vLLM's {name} takes {' and '.join(taken)}", f"names and shapes, TP {size}", "", figures)


def _need(engine: str, sent: Path | None) -> None:
    if engine != "vllm":
        raise SkippedError(f"rollout.name={engine}: names and shapes are checked against vLLM's models only")
    if importlib.util.find_spec("vllm") is None:
        raise SkippedError("vLLM is not installed here: its models are not known")
    if sent is None:
        raise SkippedError("the weights that the actor sends are not known")


def read_sent(path: Path) -> tuple[Weights, Weights]:
    """The weights that the actor sends: those of the model, without memory, and those of its adapter, all zero."""
    base, adapter = [], []
    for name, shape, dtype in json.loads(path.read_text(encoding="utf-8")):
        kind: torch.dtype = getattr(torch, dtype.removeprefix("torch."))
        if name.startswith("base_model."):
            adapter.append((name, torch.zeros(shape, dtype=kind)))  # vLLM copies them on the CPU first.
        else:
            base.append((name, torch.empty(shape, dtype=kind, device="meta")))
    return base, adapter


def make_receiver(config: Any, adapter: bool) -> Any:
    """Verl's part of a vLLM worker, with the run's model in it.

    Args:
        config: The configuration of the run.
        adapter: Whether LoRA adapters are sent; vLLM then wraps the layers that can have them.

    Raises:
        FailedError: vLLM cannot build the model.
        SkippedError: vLLM refuses the run, which is the verdict of the step `rollout_engine`.
    """
    from omegaconf import OmegaConf

    OmegaConf.resolve(config)
    try:
        made = engine_config(config)
    except (Exception, SystemExit) as error:
        raise SkippedError(f"vLLM refuses the run before it builds the model: {message(error)}") from error
    try:
        with _in_worker(made):
            model = _build(made)
    except Exception as error:
        size = int(config.actor_rollout_ref.rollout.tensor_model_parallel_size)
        raise FailedError(f"vLLM cannot build the model with TP {size}: {message(error)}", _smaller(config)) from error
    from verl.utils.vllm.patch import patch_vllm_moe_model_weight_loader
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

    receiver: Any = object.__new__(vLLMColocateWorkerExtension)
    receiver.lora_manager = _add_adapters(receiver, model, made) if made.lora_config else None
    receiver.model_runner = types.SimpleNamespace(model=model, vllm_config=made, drafter=None)
    patch_vllm_moe_model_weight_loader(model)
    return receiver


def _smaller(config: Any) -> str:
    """The next smaller tensor-parallel size with which vLLM builds the model; empty if there is none."""
    rollout = config.actor_rollout_ref.rollout
    for size in range(int(rollout.tensor_model_parallel_size) - 1, 0, -1):
        rollout.tensor_model_parallel_size = size
        with contextlib.suppress(Exception):
            made = engine_config(config)
            with _in_worker(made):
                _build(made)
            return f"{ROLLOUT}.tensor_model_parallel_size={size}"
    return ""


@contextlib.contextmanager
def _in_worker(made: Any) -> Iterator[None]:
    """The state of a vLLM worker of rank 0, whose groups communicate with nobody."""
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.utils.torch_utils import set_default_torch_dtype

    parallel = made.parallel_config
    tensor, data = int(parallel.tensor_parallel_size), int(parallel.data_parallel_size)
    sizes = {"_WORLD": tensor, "_TP": tensor, "_DP": data, "_EP": tensor * data}
    for name in ("_WORLD", "_TP", "_DCP", "_PCP", "_PP", "_DP", "_EP", "_EPLB"):
        setattr(parallel_state, name, _group(parallel_state.GroupCoordinator, sizes.get(name, 1)))
    with set_current_vllm_config(made), set_default_torch_dtype(made.model_config.dtype):
        yield


def _group(kind: Any, size: int) -> Any:
    """Rank 0 of a group of vLLM's processes that are not there."""
    group = object.__new__(kind)
    fake = types.SimpleNamespace(size=lambda: size, rank=lambda: 0)
    vars(group).update(ranks=list(range(size)), world_size=size, device=torch.device("meta"))
    vars(group).update(dict.fromkeys(("rank", "local_rank", "rank_in_group", "device_index"), 0))
    vars(group).update(dict.fromkeys(("cpu_group", "device_group"), fake))
    vars(group).update(dict.fromkeys(("device_communicator", "mq_broadcaster")), unique_name="rehearsal")
    return group


def _build(made: Any) -> Any:
    """The model without memory, except for the tables of experts, whose values its loaders read."""
    from vllm.model_executor.layers.fused_moe import expert_map_manager
    from vllm.model_executor.model_loader.utils import initialize_model

    determine = expert_map_manager.determine_expert_map

    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return determine(*args, **kwargs)

    with mock.patch.object(expert_map_manager, "determine_expert_map", on_cpu), torch.device("meta"):
        return initialize_model(made)


def _add_adapters(receiver: Any, model: Any, made: Any) -> Any:
    """Wrap the layers that can have adapters, as vLLM's worker does after it has loaded its model.

    Raises:
        SkippedError: The model has experts, whose adapters need a GPU's kernels.
    """
    from verl.utils.vllm import VLLMHijack
    from vllm.lora.utils import is_moe_model
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

    if is_moe_model(model):
        raise SkippedError("vLLM on a CPU has no adapters for experts: their names and shapes are not checked")
    VLLMHijack.hijack()
    manager = LRUCacheWorkerLoRAManager(made, torch.device("meta"), model.embedding_modules)
    with _in_worker(made):
        manager.create_lora_manager(model, made)
    receiver.add_lora = manager.add_adapter
    return manager


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements written into each storage, and notes the storages that are read for it.

    Attributes:
        written: Elements written, by storage.
        read: Storages copied from, those of tensors that they were made of included.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.written: Counter[int] = Counter()
        self.read: set[int] = set()
        self._origins: dict[int, set[int]] = {}
        self._kept: list[torch.Tensor] = []  # So that no storage's address is used again.

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.name().partition(".")[0] in ("aten::copy_", "aten::fill_", "aten::zero_"):
            self.written[storage(args[0])] += args[0].numel()
            self.read |= self._sources(args[1:])
        else:
            self._derive(args, out)
        return out

    def _sources(self, args: Any) -> set[int]:
        found = {storage(part) for part in tree_leaves(args) if isinstance(part, torch.Tensor)}
        return found.union(*(self._origins.get(part, set()) for part in found))

    def _derive(self, args: Any, out: Any) -> None:
        sources = self._sources(args)
        for part in tree_leaves(out):
            if isinstance(part, torch.Tensor) and storage(part) not in sources:
                self._origins[storage(part)] = sources
                self._kept.append(part)


def storage(tensor: torch.Tensor) -> int:
    """What identifies the memory of a tensor, and of all views of it."""
    return int(tensor.untyped_storage()._cdata)


def _load(receiver: Any, weights: Weights) -> int:
    """Load weights into the receiver's model.

    Returns:
        Their number.

    Raises:
        FailedError: One is refused or ignored, or a parameter is not loaded in full.
    """
    made, model, writes = receiver.model_runner.vllm_config, receiver.model_runner.model, Writes()
    loaded = _record(model)
    try:
        with _in_worker(made), writes:
            receiver._update_weights(weights, {"adapter": True} if receiver.lora_manager else None, False)
    except Exception as error:
        raise FailedError(f"vLLM does not take {_last(loaded, weights)}: {_reason(error)}", VERSIONS) from error
    ignored = [name for name, part in weights if storage(part) not in writes.read and not _elsewhere(made, name)]
    missing = [name for name, part in model.named_parameters() if writes.written[storage(part)] < part.numel()]
    faults = [
        *_names(ignored, f"of {len(weights):,} weights are sent but not taken"),
        *_names(missing, "of vLLM's parameters are not sent, or only in part"),
    ]
    if faults:
        raise FailedError("; ".join(faults), VERSIONS)
    return len(weights)


def _elsewhere(made: Any, name: str) -> bool:
    """Whether vLLM rightly ignores a weight on rank 0: a head tied to the embedding, or another rank's expert."""
    model = made.model_config.hf_config
    tied = any(getattr(part, "tie_word_embeddings", False) for part in (model, model.get_text_config()))
    if name.endswith("lm_head.weight"):
        return tied
    return bool(made.parallel_config.enable_expert_parallel) and ".experts." in name


def _record(model: Any) -> list[str]:
    """The names that a model loads, in order, filled as it loads them."""
    load, names = model.load_weights, []

    def load_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> Any:
        return load((names.append(name) or name, part) for name, part in weights)  # type: ignore[func-returns-value]

    model.load_weights = load_weights
    return names


def _reason(error: Exception) -> str:
    """What vLLM says, without its list of all parameters; its loaders assert shapes without a word."""
    if isinstance(error, AssertionError) and not str(error):
        return "the shape is not that of its parameter"
    return message(error).partition(" The available parameters")[0]


def _last(loaded: Sequence[str], weights: Weights) -> str:
    shapes = {name: list(part.shape) for name, part in weights}
    name = loaded[-1] if loaded else "the weights"
    return f"{name} {shapes.get(name.replace('.base_layer', ''), shapes.get(name, ''))}".strip()


def _names(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        more = ", ..." if len(names) > SHOWN else ""
        yield f"{len(names):,} {what}: {', '.join(itertools.islice(names, SHOWN))}{more}"


def _load_adapter(receiver: Any, weights: Weights, config: Any) -> int:
    """Load the adapter's matrices into vLLM's layers.

    Returns:
        Their number.

    Raises:
        FailedError: None is sent, one is refused, or vLLM has no layer for it.
    """
    model = config.actor_rollout_ref.model
    if not weights:
        raise FailedError(
            f"no adapter is sent: actor_rollout_ref.model.target_modules={model.target_modules} matches no layer",
            LINEAR,
        )
    try:
        with _in_worker(receiver.model_runner.vllm_config):
            receiver._update_weights(weights, _peft_config(model), True)
    except Exception as error:
        raise FailedError(f"vLLM does not take the adapter: {message(error)}") from error
    manager = receiver.lora_manager._adapter_manager
    ((_, adapter),) = manager.list_adapters().items()
    if unmatched := sorted(set(adapter.loras) - set(manager.modules)):
        (fault,) = _names(unmatched, f"of {len(adapter.loras):,} adapters have no layer in vLLM and would be ignored")
        raise FailedError(fault, _exclude(unmatched, len(adapter.loras)))
    return len(weights)


def _exclude(unmatched: Sequence[str], adapters: int) -> str:
    if not all("visual" in name for name in unmatched):
        return LINEAR
    language = "actor_rollout_ref.model.exclude_modules='.*visual.*'"
    return language if len(unmatched) < adapters else f"{LINEAR} {language}"


def _peft_config(model: Any) -> dict[str, Any]:
    """The adapter's configuration, which verl sends with it."""
    from peft import LoraConfig, PeftConfig

    if model.get("lora_adapter_path"):
        found = PeftConfig.from_pretrained(model.lora_adapter_path)
    else:
        found = LoraConfig(r=model.lora_rank, lora_alpha=model.lora_alpha, bias="none", task_type="CAUSAL_LM")
    return dict(found.to_dict())


if __name__ == "__main__":
    sys.exit(main(take))
