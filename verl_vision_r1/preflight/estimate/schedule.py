"""Steps, the stages of refinement, and what a run leaves on the disk."""

import math
from collections.abc import Iterator
from typing import Final

from verl_vision_r1.preflight.estimate.figure import Figure
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.sharding import MOMENTS, size_of
from verl_vision_r1.rewards.refinement import SLACK, Stage

BYTES_OF_TOKEN: Final = 4
"""Letters of a token, about."""
BYTES_OF_SCORES: Final = 1000
"""What a dumped sample has beside its text: scores, flags, ground truth. Runs of the demo had 700 to 1,500."""


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on steps."""
    config, total = plan.config, plan.total_steps
    rows = "rows" if plan.lengths.rows is None else f"{plan.lengths.rows:,} rows"
    each = f"{rows}, less prompts that are too long, by batches of {config.data.train_batch_size}; the rest is dropped"
    yield Figure("steps of an epoch", plan.steps_per_epoch, "", each)
    yield Figure("steps", total, "", _total_basis(plan))
    yield Figure(
        "answers of a step", plan.samples, "", f"{config.data.train_batch_size} prompts, {plan.rollout.n} answers each"
    )
    longest = plan.samples * int(config.data.max_response_length)
    yield Figure("generated tokens of a step", longest, "tokens", "at most: every answer at max_response_length")
    updates = math.ceil(config.data.train_batch_size / plan.actor.ppo_mini_batch_size) * plan.actor.ppo_epochs
    yield Figure("updates of a step", updates, "", f"mini-batches of {plan.actor.ppo_mini_batch_size} prompts")
    if total:
        yield from _stages(plan, total)
    yield from _disk(plan)


def _total_basis(plan: Plan) -> str:
    if plan.config.trainer.get("val_only"):
        return "trainer.val_only: the run validates and ends"
    if plan.config.trainer.total_training_steps is not None:
        return "trainer.total_training_steps"
    if plan.total_steps is None:
        return f"the rows are not here: {plan.config.data.train_files}"
    return f"trainer.total_epochs {plan.config.trainer.total_epochs}"


def first_step(stage: Stage, total: int) -> int:
    """The first step that a stage is in force in.

    Example:
        >>> first_step(Stage(0.75, 0.75, 0.9, at=0.5, index=1), 115)
        59
    """
    return max(math.ceil(stage.begin(total) - SLACK), 0) + 1


def _stages(plan: Plan, total: int) -> Iterator[Figure]:
    curriculum = plan.settings.curriculum
    moving = " reached" if curriculum.interpolation == "linear" else ""
    for stage in curriculum.stages:
        step = first_step(stage, total)
        basis = f"xi0 {stage.xi0:g}, xi1 {stage.xi1:g}, xi2 {stage.xi2:g}" + (
            "" if step <= total else "; never: after the end"
        )
        yield Figure(f"stage {stage.index}{moving} from step", step, "", basis)


def checkpoint_bytes(plan: Plan) -> int:
    """Bytes of one checkpoint, of all GPUs together."""
    contents = list(plan.actor.checkpoint.save_contents)
    size = 4 if plan.actor.strategy == "megatron" else size_of(plan.actor.fsdp_config.model_dtype)
    model = plan.model.parameters * size * ("model" in contents)
    optimizer = plan.model.trained * MOMENTS * size * ("optimizer" in contents)
    whole = plan.model.parameters * size * ("hf_model" in contents)
    return int(model + optimizer + whole)


def _disk(plan: Plan) -> Iterator[Figure]:
    trainer, total = plan.config.trainer, plan.total_steps or 0
    often = int(trainer.save_freq)
    if often > 0 and total:
        contents = ", ".join(plan.actor.checkpoint.save_contents)
        yield Figure("checkpoint", checkpoint_bytes(plan), "bytes", f"{contents}, in the type that is stored")
        saved = math.ceil(total / often)
        kept = min(saved, int(trainer.get("max_actor_ckpt_to_keep") or saved))
        yield Figure(
            "checkpoints", checkpoint_bytes(plan) * kept, "bytes", f"{kept} of {saved} are kept, one in {often} steps"
        )
    if trainer.get("rollout_data_dir"):
        text = plan.response_tokens + max(plan.prompt_tokens - plan.image_tokens, 0)
        dumped = plan.samples * (BYTES_OF_TOKEN * text + BYTES_OF_SCORES)
        yield Figure("dump of a step", dumped, "bytes", "about 4 bytes a token of text, and 1,000 of scores")
