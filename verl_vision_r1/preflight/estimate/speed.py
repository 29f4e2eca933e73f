"""Section on time: the FLOPs of a step, and its seconds at an assumed fraction of the GPU's peak."""

import inspect
from collections.abc import Callable, Iterator

from verl_vision_r1.preflight.estimate.figure import Figure
from verl_vision_r1.preflight.estimate.generation import cache_bytes_of_token, concurrent_sequences, engine_weights
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import size_of


def update_flops(plan: Plan) -> float | None:
    """FLOPs of the update of one step, by verl's counter; None if verl does not count this model family.

    Counts six FLOPs per parameter and token, attention, and the vision tower of families whose counter takes images,
    except Qwen2-VL. Recomputation by checkpointing is not counted.

    Source:
        `verl.utils.flops_counter` of the installed verl.
    """
    from verl.utils.flops_counter import ESTIMATE_FUNC

    config = plan.model.config
    count = ESTIMATE_FUNC.get(config.model_type)
    if count is None or not hasattr(config, "text_config"):
        return None
    lengths = [plan.prompt_tokens + plan.response_tokens] * plan.completions
    images = [plan.image_tokens * plan.model.patches_of_token] * plan.completions
    # verl reads a size of the vision tower that the configuration of Qwen2-VL does not have.
    counted = _takes_images(count) and hasattr(config.vision_config, "out_hidden_size")
    teraflops = count(config, sum(lengths), lengths, 1.0, **({"images_seqlens": images} if counted else {}))
    return float(teraflops) * 1e12 * int(plan.actor.ppo_epochs)


def _takes_images(count: Callable[..., float]) -> bool:
    """Whether a counter of verl takes keywords such as the lengths of the images; that of GLM-4.1V does not."""
    parameters = inspect.signature(count).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def decoding_seconds(plan: Plan) -> float | None:
    """Lower bound of the seconds of generation: each token reads the weights and the KV cache before it once.

    None if no sequence fits into the cache.
    """
    concurrent = concurrent_sequences(plan)
    if not concurrent:
        return None
    completions = -(-plan.completions // plan.replicas)
    rounds = -(-completions // concurrent)
    per_token = cache_bytes_of_token(plan.model, size_of(plan.rollout.dtype), plan.tensor_parallel)
    mean_length = plan.prompt_tokens + plan.response_tokens / 2
    read = rounds * engine_weights(plan) + completions * per_token * mean_length
    return plan.response_tokens * read / plan.assumed.kind.bandwidth


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on time; unknown on a CPU."""
    if plan.config.trainer.device == "cpu":
        yield Figure("update per step", None, "", "not estimated for trainer.device=cpu")
        return
    lengths = f"{plan.prompt_tokens:,} prompt and {plan.response_tokens:,} completion tokens"
    generation = decoding_seconds(plan)
    gpu, bandwidth = plan.assumed.gpu.upper(), plan.assumed.kind.bandwidth / 1e12
    basis = f"{gpu} reads weights and cache at {bandwidth:g} TB/s; {lengths}"
    yield Figure("generation per step", generation, "seconds", basis, lower_bound=True)
    flops = update_flops(plan)
    if flops is None:
        family = plan.model.config.model_type
        yield Figure("update per step", None, "", f"verl does not count the FLOPs of {family}")
        return
    basis = f"by verl's counter; {plan.completions:,} completions, {lengths}"
    yield Figure("FLOPs per update", flops / 1e15, "PFLOP", basis)
    yield from _seconds(plan, flops, generation)


def _seconds(plan: Plan, flops: float, generation: float | None) -> Iterator[Figure]:
    gpu, mfu, peak = plan.assumed.gpu.upper(), plan.assumed.mfu, plan.assumed.kind.flops
    update = flops / (plan.gpus * peak * mfu)
    basis = f"assumed: {mfu:g} of {plan.gpus} x {peak / 1e12:,.0f} TFLOP/s ({gpu})"
    yield Figure("update per step", update, "seconds", basis)
    passes = plan.old_probabilities + plan.reference
    old, reference = ("yes" if each else "no" for each in (plan.old_probabilities, plan.reference))
    basis = f"old: {old}, reference: {reference}; each a third of an update"
    yield Figure("log-probabilities per step", passes * update / 3, "seconds", basis)
    if plan.total_steps and generation is not None:
        training = update * (1 + passes / 3)
        seconds = max(training, generation) if plan.separate else training + generation
        basis = "these parts only: without start, validation, checkpoints and reading of images"
        yield Figure("run", plan.total_steps * seconds, "seconds", basis, lower_bound=True)
