"""Memory of one GPU while answers are generated: the engine's weights, and its cache of keys and values."""

from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.figure import GIB, Figure, counted
from verl_vision_r1.preflight.estimate.model import Model
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import Place, shares, size_of
from verl_vision_r1.preflight.estimate.training import RESERVE, verdict

ENGINE: Final = 3 * GIB
"""What vLLM needs beside weights and cache, found by it in a trial pass: assumed."""


def cache_bytes_of_token(model: Model, size: int, parallel: int = 1) -> int:
    """Bytes of the keys and values of one token on each GPU.

    Args:
        model: Its layers, heads of keys and width of a head count.
        size: Bytes of a number.
        parallel: GPUs that share each layer. Heads are divided until each has one; from then on they are repeated.
    """
    heads = max(model.text.num_key_value_heads // parallel, 1)
    return int(2 * model.text.num_hidden_layers * heads * model.head_size * size)


def engine_weights(plan: Plan) -> float:
    """Bytes of the weights that one GPU holds to generate with."""
    parts = plan.tensor_parallel * int(plan.rollout.pipeline_model_parallel_size)
    return plan.model.parameters * size_of(plan.rollout.dtype) / parts


def cache_bytes(plan: Plan) -> float:
    """Bytes that are left for the cache on one GPU; below 0 where nothing is."""
    given = (plan.rollout.engine_kwargs.get("vllm") or {}).get("kv_cache_memory_bytes")
    if given:
        return float(given)
    budget = float(plan.rollout.gpu_memory_utilization) * plan.assumed.gpu_memory * GIB
    return budget - engine_weights(plan) - ENGINE


def sequences_at_once(plan: Plan) -> int:
    """Answers that one copy of the model can write at the same time, all at their longest."""
    each = cache_bytes_of_token(plan.model, size_of(plan.rollout.dtype), plan.tensor_parallel)
    return max(min(int(cache_bytes(plan) // (each * plan.longest)), int(plan.rollout.max_num_seqs)), 0)


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on one GPU's memory while answers are generated."""
    rollout, each = plan.rollout, cache_bytes_of_token(plan.model, size_of(plan.rollout.dtype), plan.tensor_parallel)
    parallel = f"{rollout.dtype}, over {counted(plan.tensor_parallel, 'GPU')}; {counted(plan.replicas, 'engine')}"
    yield Figure("weights", engine_weights(plan), "bytes", parallel)
    yield Figure("cache of one token", each, "bytes", "keys and values of all layers, on each of these GPUs")
    room = cache_bytes(plan)
    yield Figure("cache", room, "bytes", _cache_basis(plan))
    yield Figure("tokens of the cache", max(room // each, 0), "tokens", "of each engine")
    yield Figure(
        "answers at once", sequences_at_once(plan), "", f"{plan.longest:,} tokens each, at most {rollout.max_num_seqs}"
    )
    yield from _lengths(plan)
    yield from _peaks(plan, max(room, 0))


def _peaks(plan: Plan, cache: float) -> Iterator[Figure]:
    held, memory = shares(plan), plan.assumed.gpu_memory * GIB
    need = held.resident * (not plan.separate) + RESERVE + engine_weights(plan) + ENGINE + cache
    beside = "; the training has other GPUs" if plan.separate else ", and what of the training stays on the GPU"
    yield verdict("peak: generation", need, memory, f"the engine{beside}")
    if plan.separate:
        return
    weights = held.weights * (held.weights_place is not Place.away) + engine_weights(plan)
    moments = held.optimizer * (held.optimizer_place is Place.stays)
    bucket = int(plan.rollout.checkpoint_engine.update_weights_bucket_megabytes) * 2**20
    # The largest matrix is put together in float32 and made bfloat16 of.
    matrix = plan.model.text.vocab_size * plan.model.text.hidden_size * 6
    basis = f"both copies of the weights, a bucket of {bucket / GIB:g} GiB, the largest matrix whole"
    yield verdict("peak: weights to the engine", weights + moments + bucket + matrix + RESERVE, memory, basis)


def _cache_basis(plan: Plan) -> str:
    if (plan.rollout.engine_kwargs.get("vllm") or {}).get("kv_cache_memory_bytes"):
        return "kv_cache_memory_bytes of the run"
    share = f"{plan.rollout.gpu_memory_utilization:g} of {plan.assumed.gpu_memory:g} GiB"
    return f"{share}, less the weights and {ENGINE / GIB:g} GiB that the engine needs"


def _lengths(plan: Plan) -> Iterator[Figure]:
    limit = plan.rollout.max_model_len
    if limit is None:
        yield Figure(
            "longest sequence", "the model's", "", "max_model_len is not set; the run needs no more than its limits"
        )
    elif limit < plan.longest:
        yield Figure(
            "longest sequence", limit, "tokens", f"max_model_len is below the {plan.longest:,} that the run allows"
        )
    else:
        yield Figure("longest sequence", limit, "tokens", f"max_model_len; the run allows {plan.longest:,}")
