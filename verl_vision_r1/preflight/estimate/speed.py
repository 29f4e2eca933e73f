"""Arithmetic of a step, and the time that it takes at an assumed share of the GPU's peak."""

from collections.abc import Iterator

from verl_vision_r1.preflight.estimate.figure import Figure
from verl_vision_r1.preflight.estimate.generation import cache_bytes_of_token, engine_weights, sequences_at_once
from verl_vision_r1.preflight.estimate.plan import GPUS, Plan
from verl_vision_r1.preflight.estimate.sharding import size_of


def update_flops(plan: Plan) -> float | None:
    """Floating-point operations of one step's update, as verl's counter has them.

    Six for each parameter and token, those of attention, and those of the vision tower, which verl leaves out for
    Qwen2-VL; what checkpointing computes again is not counted. None where verl does not know the family.

    Source:
        `verl.utils.flops_counter`, of the installed verl.
    """
    from verl.utils.flops_counter import ESTIMATE_FUNC

    count = ESTIMATE_FUNC.get(plan.model.config.model_type)
    if count is None or not hasattr(plan.model.config, "text_config"):
        return None
    sequence = plan.prompt_tokens + plan.response_tokens
    patches = plan.image_tokens * plan.model.patches_of_token
    lengths = [sequence] * plan.samples
    # verl reads a width off the tower that Qwen2-VL's configuration does not have.
    images = [patches] * plan.samples if hasattr(plan.model.config.vision_config, "out_hidden_size") else None
    tera = count(plan.model.config, sum(lengths), lengths, 1.0, images_seqlens=images)
    return float(tera) * 1e12 * int(plan.actor.ppo_epochs)


def decoding_seconds(plan: Plan) -> float | None:
    """Seconds that generation takes at least: every token reads the weights and the cache before it once.

    None where no answer fits into the cache.
    """
    at_once = sequences_at_once(plan)
    if not at_once:
        return None
    answers = -(-plan.samples // plan.replicas)
    rounds = -(-answers // at_once)
    each = cache_bytes_of_token(plan.model, size_of(plan.rollout.dtype), plan.tensor_parallel)
    mean = plan.prompt_tokens + plan.response_tokens / 2
    read = rounds * engine_weights(plan) + answers * each * mean
    return plan.response_tokens * read / GPUS[plan.assumed.gpu]


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on time; on a CPU there is none."""
    if plan.config.trainer.device == "cpu":
        yield Figure("update of a step", None, "", "trainer.device is cpu, of which nothing is assumed")
        return
    lengths = f"{plan.prompt_tokens:,} prompt and {plan.response_tokens:,} answer tokens"
    generation = decoding_seconds(plan)
    reading = (
        f"{plan.assumed.gpu.upper()} reads weights and cache at {GPUS[plan.assumed.gpu] / 1e12:g} TB/s; {lengths}"
    )
    yield Figure("generation of a step, least", generation, "seconds", reading)
    flops = update_flops(plan)
    if flops is None:
        family = plan.model.config.model_type
        yield Figure("update of a step", None, "", f"verl does not count the operations of {family}")
        return
    counts = f"by verl's counter; {plan.samples:,} answers, {lengths}"
    yield Figure("operations of an update", flops / 1e15, "PFLOP", counts)
    yield from _seconds(plan, flops, generation)


def _seconds(plan: Plan, flops: float, generation: float | None) -> Iterator[Figure]:
    from verl.utils.flops_counter import get_device_flops

    gpu, mfu = plan.assumed.gpu.upper(), plan.assumed.mfu
    peak = get_device_flops("T", gpu)
    update = flops / (plan.gpus * peak * 1e12 * mfu)
    at = f"assumed: {mfu:g} of {plan.gpus} x {peak:,.0f} TFLOP/s ({gpu})"
    yield Figure("update of a step", update, "seconds", at)
    passes = plan.old_probabilities + plan.reference
    basis = f"old {_yes(plan.old_probabilities)}, reference {_yes(plan.reference)}; each a third of an update"
    yield Figure("probabilities of a step", passes * update / 3, "seconds", basis)
    if plan.total_steps and generation is not None:
        training = update * (1 + passes / 3)
        seconds = max(training, generation) if plan.separate else training + generation
        basis = "of these alone: no start, validation, checkpoint or reading of images"
        yield Figure("the run", plan.total_steps * seconds / 3600, "hours", basis)


def _yes(true: bool) -> str:
    return "yes" if true else "no"
