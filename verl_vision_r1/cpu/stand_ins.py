"""Stand-ins for a GPU's kernels and for a model's weights, on tensors that have shapes and no values.

For `vision-r1 rehearse` only, in a process of its own. Each allocates what its original does, and computes nothing.
"""

import importlib.machinery
import sys
from types import ModuleType
from typing import Any

import torch

from verl_vision_r1.cpu.linear_attention import chunk_gated_delta_rule


def install(*, kernels: bool) -> None:
    """Replace the loading of weights in this process, before verl is imported.

    Args:
        kernels: Whether to replace flash-attn and flash-linear-attention too.
    """
    if kernels:
        _replace_kernels()
    _load_nothing()


def _replace_kernels() -> None:
    _module("flash_attn", flash_attn_func=_attention, flash_attn_varlen_func=_attention, flash_attn_with_kvcache=None)
    _module("flash_attn.ops")
    _module("flash_attn.ops.triton")
    _module("flash_attn.ops.triton.cross_entropy", cross_entropy_loss=_cross_entropy_loss)
    for name in ("fla", "fla.ops"):
        _module(name)
    _module("fla.modules", FusedRMSNormGated=None)
    _module(
        "fla.ops.gated_delta_rule",
        chunk_gated_delta_rule=chunk_gated_delta_rule,
        fused_recurrent_gated_delta_rule=None,  # Generates, which verl's actor does not.
    )
    _announce()
    from transformers import modeling_flash_attention_utils as utilities
    from transformers import modeling_utils

    padding = {"pad_input": utilities._pad_input, "unpad_input": utilities._unpad_input}
    _module("flash_attn.bert_padding", **padding, index_first_axis=utilities._index_first_axis, rearrange=None)
    modeling_utils.PreTrainedModel._flash_attn_can_dispatch = _yes


def _module(name: str, **members: Any) -> None:
    made = ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    made.__path__ = []
    vars(made).update(members)
    sys.modules[name] = made


def _announce() -> None:
    """Pass the checks of transformers: it looks for the distribution and for a GPU before it imports flash-attn."""
    from transformers import utils
    from transformers.utils import import_utils

    names = ("flash_attn_2_available", "flash_attn_greater_or_equal_2_10", "flash_linear_attention_available")
    for module in (utils, import_utils):
        vars(module).update({f"is_{name}": _yes for name in names})
    import_utils.PACKAGE_DISTRIBUTION_MAPPING["flash_attn"] = ["flash-attn"]


def _yes(*args: Any, **kwargs: Any) -> bool:
    return True


def _load_nothing() -> None:
    """Build a model from its configuration where verl would load it."""
    import transformers

    def built(cls: Any, /, *args: Any, config: Any, torch_dtype: Any = None, **kwargs: Any) -> Any:
        return cls.from_config(config, dtype=torch_dtype)

    for name in ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForCausalLM"):
        if hasattr(transformers, name):
            getattr(transformers, name).from_pretrained = classmethod(built)


class _Attention(torch.autograd.Function):
    """Flash attention keeps its inputs, its output and the log-sum-exp of each query for the backward pass."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


def _attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: Any = None,
    cu_seqlens_k: Any = None,
    max_seqlen_q: Any = None,
    max_seqlen_k: Any = None,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    deterministic: bool = False,
    **options: Any,
) -> torch.Tensor:
    """Stand for `flash_attn_func` and `flash_attn_varlen_func`, whose parameters' names verl and transformers read."""
    output: torch.Tensor = _Attention.apply(q, k, v)  # type: ignore[no-untyped-call]
    return output


class _CrossEntropy(torch.autograd.Function):
    """flash-attn's cross entropy keeps the logits and one number per token, and may write the gradient in place."""

    @staticmethod
    def forward(ctx: Any, logits: Any, inplace: bool) -> Any:
        ctx.inplace = inplace
        ctx.save_for_backward(logits, logits.new_empty(len(logits), dtype=torch.float32))
        return logits.new_empty(len(logits), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        logits, _ = ctx.saved_tensors
        return (logits if ctx.inplace else torch.empty_like(logits)), None


def _cross_entropy_loss(
    logits: torch.Tensor, labels: torch.Tensor, *args: Any, inplace_backward: bool = False, **options: Any
) -> tuple[torch.Tensor, None]:
    """Stands for flash-attn's Triton kernel: a loss per token, and no z-loss."""
    return _CrossEntropy.apply(logits, inplace_backward), None  # type: ignore[no-untyped-call]
