"""Section on the memory of one GPU during generation: the weights and the KV cache of the rollout engine."""

from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.activations import linear_attention
from verl_vision_r1.preflight.estimate.figure import GIB, Figure, counted
from verl_vision_r1.preflight.estimate.model import Model
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import Place, model_state, size_of
from verl_vision_r1.preflight.estimate.training import RESERVE, peak

ENGINE: Final = 3 * GIB
"""Assumed bytes that vLLM needs in addition to weights and cache; vLLM measures them in a profiling pass."""


def cache_bytes_of_token(model: Model, size: int, parallel: int = 1) -> int:
    """Bytes of the keys and values of one token on each GPU. Layers with linear attention have none.

    Args:
        model: Determines the number of layers and KV heads and the size of a head.
        size: Bytes per number.
        parallel: Tensor-parallel size. Each GPU has at least one KV head.
    """
    heads = max(model.text.num_key_value_heads // parallel, 1)
    linear = linear_attention(model.text)
    layers = model.text.num_hidden_layers - (linear.depth if linear else 0)
    return int(2 * layers * heads * model.head_size * size)


def engine_weights(plan: Plan) -> float:
    """Bytes of the engine's weights on one GPU."""
    parts = plan.tensor_parallel * int(plan.rollout.pipeline_model_parallel_size)
    return plan.model.parameters * size_of(plan.rollout.dtype) / parts


def cache_bytes(plan: Plan) -> float:
    """Bytes of the KV cache on one GPU; negative if the weights leave no memory for it."""
    configured = _configured_cache(plan)
    if configured is not None:
        return configured
    budget = float(plan.rollout.gpu_memory_utilization) * plan.assumed.memory * GIB
    return budget - engine_weights(plan) - ENGINE


def _configured_cache(plan: Plan) -> float | None:
    """Bytes of the KV cache that the run sets; None if the engine computes them."""
    given = (plan.rollout.engine_kwargs.get("vllm") or {}).get("kv_cache_memory_bytes")
    return float(given) if given else None


def concurrent_sequences(plan: Plan) -> int:
    """Number of sequences of maximum length that one engine can generate at the same time."""
    per_token = cache_bytes_of_token(plan.model, size_of(plan.rollout.dtype), plan.tensor_parallel)
    return max(min(int(cache_bytes(plan) // (per_token * plan.longest)), int(plan.rollout.max_num_seqs)), 0)


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on the memory of one GPU during generation."""
    rollout, cache = plan.rollout, cache_bytes(plan)
    per_token = cache_bytes_of_token(plan.model, size_of(rollout.dtype), plan.tensor_parallel)
    parallel = f"{rollout.dtype}, over {counted(plan.tensor_parallel, 'GPU')}; {counted(plan.replicas, 'engine')}"
    yield Figure("weights", engine_weights(plan), "bytes", parallel)
    yield Figure("KV cache per token", per_token, "bytes", "keys and values of all layers, on each of these GPUs")
    yield Figure("KV cache", cache, "bytes", _cache_basis(plan))
    yield Figure("tokens in the KV cache", max(cache // per_token, 0), "tokens", "per engine")
    basis = f"{plan.longest:,} tokens each, at most max_num_seqs {rollout.max_num_seqs}"
    yield Figure("concurrent sequences", concurrent_sequences(plan), "", basis)
    yield _longest(plan)
    yield from _peaks(plan, max(cache, 0))


def _peaks(plan: Plan, cache: float) -> Iterator[Figure]:
    state, memory = model_state(plan), plan.assumed.memory * GIB
    need = state.resident * (not plan.separate) + RESERVE + engine_weights(plan) + ENGINE + cache
    training = "; training uses other GPUs" if plan.separate else ", and the training state that stays on the GPU"
    yield peak("peak: generation", need, memory, f"the engine{training}")
    if plan.separate:
        return
    weights = state.weights * (state.weights_place is not Place.ON_HOST) + engine_weights(plan)
    moments = state.optimizer * (state.optimizer_place is Place.ON_GPU)
    bucket = int(plan.rollout.checkpoint_engine.update_weights_bucket_megabytes) * 2**20
    # The largest matrix is gathered in float32 and converted to bfloat16.
    matrix = plan.model.text.vocab_size * plan.model.text.hidden_size * 6
    basis = f"both copies of the weights, a bucket of {bucket / GIB:g} GiB, the largest matrix gathered"
    yield peak("peak: weight transfer", weights + moments + bucket + matrix + RESERVE, memory, basis)


def _cache_basis(plan: Plan) -> str:
    if _configured_cache(plan) is not None:
        return "kv_cache_memory_bytes of the run"
    budget = f"{plan.rollout.gpu_memory_utilization:g} of {plan.assumed.memory:g} GiB"
    return f"{budget}, less the weights and {ENGINE / GIB:g} GiB for the engine"


def _longest(plan: Plan) -> Figure:
    name, limit = "maximum sequence length", plan.rollout.max_model_len
    if limit is None:
        return Figure(name, "the model's", "", f"max_model_len is not set; the run needs {plan.longest:,} tokens")
    if limit < plan.longest:
        return Figure(name, limit, "tokens", f"max_model_len is below the {plan.longest:,} tokens that the run allows")
    return Figure(name, limit, "tokens", f"max_model_len; the run allows {plan.longest:,}")
