"""Stand-in for the kernels of flash-linear-attention, on tensors that have shapes and no values.

For `vision-r1 rehearse` only. It allocates what `chunk_gated_delta_rule` of flash-linear-attention 0.4 does, the gated
DeltaNet of Qwen3.5, and computes nothing. Its norm and causal-conv1d have no stand-in: transformers uses torch there,
which needs more memory.
"""

from typing import Any, Final

import torch

CHUNK: Final = 64
"""Tokens per chunk."""


class _GatedDeltaRule(torch.autograd.Function):
    """Keeps the normalised queries and keys, values, gates and a CHUNK by CHUNK matrix per chunk and head.

    The states between chunks are computed again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, gate: Any, beta: Any, chunks: int) -> Any:
        norms = [gate.new_empty(query.shape[:-1]) for _ in "qk"]
        matrices = query.new_empty(*query.shape[:-1], CHUNK)
        unsolved = torch.empty_like(matrices, dtype=torch.float32)
        del unsolved
        kept = (torch.empty_like(query), torch.empty_like(key), value, torch.empty_like(gate), beta, matrices, *norms)
        ctx.save_for_backward(*kept)
        ctx.chunks = chunks
        states = _states(key, value, chunks)  # noqa: F841, in memory until the output is.
        return torch.empty_like(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        query, key, value, gate, beta, *_ = ctx.saved_tensors
        states = _states(key, value, ctx.chunks)  # noqa: F841, in memory until the gradients are.
        gradients_of_states = _states(key, value, ctx.chunks)  # noqa: F841
        second = (torch.empty_like(key), torch.empty_like(value), torch.empty_like(gate))  # noqa: F841, added to these:
        return (*(torch.empty_like(tensor) for tensor in (query, key, value, gate, beta)), None)


def _states(key: torch.Tensor, value: torch.Tensor, chunks: int) -> tuple[torch.Tensor, ...]:
    """The state before each chunk, and what leads to it: the transformed keys, and the values before and after."""
    batch, _, heads, width = key.shape
    state = key.new_empty(batch, chunks, heads, width, value.shape[-1])
    return torch.empty_like(key), torch.empty_like(value), torch.empty_like(value), state


def chunk_gated_delta_rule(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: Any = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: torch.Tensor | None = None,
    cu_seqlens_cpu: torch.Tensor | None = None,
) -> tuple[torch.Tensor, None]:
    """Stand for the function of this name, whose parameters' names verl reads.

    Args:
        q: (B, T, H, K) queries.
        k: (B, T, H, K) keys.
        v: (B, T, H, V) values.
        g: (B, T, H) logarithms of the decay, in float32.
        beta: (B, T, H) rates of the update.
        initial_state: Not used.
        output_final_state: Not used.
        use_qk_l2norm_in_kernel: Not used: queries and keys are always normalised.
        cu_seqlens: Offsets of the packed sequences, each of which has chunks of its own.
        cu_seqlens_cpu: Not used.
    """
    sequences = 1 if cu_seqlens is None else len(cu_seqlens) - 1
    chunks = q.shape[1] // CHUNK + sequences
    output: torch.Tensor = _GatedDeltaRule.apply(q, k, v, g, beta, chunks)  # type: ignore[no-untyped-call]
    return output, None
