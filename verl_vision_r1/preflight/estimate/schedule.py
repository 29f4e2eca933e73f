"""Section on steps and disk: number of steps, stages of the curriculum, checkpoints and rollout files."""

import math
from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.figure import Figure, counted
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import MOMENTS, size_of
from verl_vision_r1.rewards.refinement import SLACK, Stage

BYTES_OF_TOKEN: Final = 4
"""Approximate bytes of text per token."""
BYTES_OF_SCORES: Final = 1000
"""Bytes of scores, flags and ground truth per completion in a rollout file. Runs of the demo had 700 to 1,500."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on steps and disk."""
    config, total, batch = plan.config, plan.total_steps, plan.config.data.train_batch_size
    samples = "samples" if plan.lengths.samples is None else f"{plan.lengths.samples:,} samples"
    basis = f"{samples}, without prompts that are too long, in batches of {batch}; an incomplete batch is dropped"
    yield Figure("steps per epoch", plan.steps_per_epoch, "", basis)
    yield Figure("steps", total, "", _total_basis(plan))
    basis = f"{batch} prompts, {plan.rollout.n} completions each"
    yield Figure("completions per step", plan.completions, "", basis)
    tokens = plan.completions * int(config.data.max_response_length)
    yield Figure("generated tokens per step", tokens, "tokens", "at most: every completion at max_response_length")
    updates = math.ceil(batch / plan.actor.ppo_mini_batch_size) * plan.actor.ppo_epochs
    yield Figure("updates per step", updates, "", f"mini-batches of {plan.actor.ppo_mini_batch_size} prompts")
    if total:
        yield from _stages(plan, total)
    yield from _disk(plan)


def _total_basis(plan: Plan) -> str:
    if plan.config.trainer.get("val_only"):
        return "trainer.val_only: validation only"
    if plan.config.trainer.total_training_steps is not None:
        return "trainer.total_training_steps"
    if plan.total_steps is None:
        return f"not on this machine: {plan.config.data.train_files}"
    return f"trainer.total_epochs {plan.config.trainer.total_epochs}"


def first_step(stage: Stage, total: int) -> int:
    """The first step of a stage, from 1.

    Args:
        stage: The stage.
        total: Number of steps of the run.

    Example:
        >>> first_step(Stage(0.75, 0.75, 0.9, at=0.5, index=1), 115)
        59
    """
    return max(math.ceil(stage.begin(total) - SLACK), 0) + 1


def _stages(plan: Plan, total: int) -> Iterator[Figure]:
    curriculum = plan.settings.curriculum
    reached = " reached" if curriculum.interpolation == "linear" else ""
    for stage in curriculum.stages:
        step = first_step(stage, total)
        basis = f"xi0 {stage.xi0:g}, xi1 {stage.xi1:g}, xi2 {stage.xi2:g}"
        yield Figure(f"stage {stage.index}{reached} from step", step, "", basis + "; never reached" * (step > total))


def checkpoint_bytes(plan: Plan) -> int:
    """Bytes of one checkpoint over all GPUs."""
    contents = list(plan.actor.checkpoint.save_contents)
    size = 4 if plan.actor.strategy == "megatron" else size_of(plan.actor.fsdp_config.model_dtype)
    model = plan.model.parameters * size * ("model" in contents)
    optimizer = plan.model.trained * MOMENTS * size * ("optimizer" in contents)
    whole = plan.model.parameters * size * ("hf_model" in contents)
    return int(model + optimizer + whole)


def _disk(plan: Plan) -> Iterator[Figure]:
    trainer = plan.config.trainer
    if int(trainer.save_freq) > 0 and plan.total_steps != 0:
        size, contents = checkpoint_bytes(plan), ", ".join(plan.actor.checkpoint.save_contents)
        yield Figure("checkpoint", size, "bytes", f"{contents}, in the stored dtype")
        kept, basis = checkpoints_kept(plan)
        unlimited = plan.total_steps is None and not trainer.max_actor_ckpt_to_keep
        yield Figure("checkpoints", size * kept, "bytes", basis, lower_bound=unlimited)
    if trainer.get("rollout_data_dir"):
        text = plan.response_tokens + max(plan.prompt_tokens - plan.image_tokens, 0)
        size = plan.completions * (BYTES_OF_TOKEN * text + BYTES_OF_SCORES)
        basis = "about 4 bytes per token of text and 1,000 bytes of scores per completion"
        yield Figure("rollout file per step", size, "bytes", basis)


def checkpoints_kept(plan: Plan) -> tuple[int, str]:
    """The number of checkpoints on disk at a time, and in words.

    Args:
        plan: The run. If its samples are not on this machine, its number of steps is unknown.
    """
    trainer = plan.config.trainer
    limit, every = int(trainer.max_actor_ckpt_to_keep or 0), int(trainer.save_freq)
    saved = math.ceil(plan.total_steps / every) if plan.total_steps else None
    # verl deletes the only checkpoint after it has saved the next one, and otherwise the oldest one before.
    most = max(limit, 2) if limit else None
    if saved is None and most is None:
        return 1, f"at least 1 checkpoint, one every {every} of unknown steps"
    kept = min(number for number in (saved, most) if number is not None)
    basis = f" of {saved}" if saved is not None else ""
    return kept, f"{counted(kept, 'checkpoint')}{basis} at a time"
