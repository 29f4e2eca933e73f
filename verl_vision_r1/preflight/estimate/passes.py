"""What the forward and backward passes of a training hold in the memory of one GPU."""

import math
from dataclasses import dataclass

from verl_vision_r1.preflight.estimate.activations import Layers, Logits, language_layers, vision_layers
from verl_vision_r1.preflight.estimate.plan import Plan


def tokens_of_update(plan: Plan) -> int:
    """Tokens that one GPU has in one forward and backward pass, at most."""
    if plan.actor.use_dynamic_bsz:
        return min(int(plan.actor.ppo_max_token_len_per_gpu), plan.samples_at_once * plan.longest)
    each = plan.actor.ppo_micro_batch_size_per_gpu or plan.actor.get("ppo_micro_batch_size") or plan.samples_at_once
    return int(each) * plan.longest


def tokens_of_probabilities(plan: Plan) -> int:
    """Tokens that one GPU has in one forward pass that only gives probabilities, at most."""
    samples = math.ceil(plan.samples / plan.gpus)
    if plan.rollout.log_prob_use_dynamic_bsz:
        return min(int(plan.rollout.log_prob_max_token_len_per_gpu), samples * plan.longest)
    return int(plan.rollout.log_prob_micro_batch_size_per_gpu or samples) * plan.longest


@dataclass(frozen=True)
class Pass:
    """What a forward and a backward pass of so many tokens need, in bytes.

    Attributes:
        kept: By the layers of the language model, between the two.
        vision: By those of the vision tower.
        layer: While a layer's backward pass runs.
        logits: While the loss is computed.
    """

    kept: float
    vision: float
    layer: float
    logits: float

    @property
    def peak(self) -> float:
        """The most at once: the logits are gone before the first layer's backward pass."""
        return self.kept + self.vision + max(self.layer, self.logits)


def update_pass(plan: Plan, size: int) -> Pass:
    """Of the policy's update, with the longest batch that the run allows.

    Args:
        plan: The run.
        size: Bytes of a number in the type that is computed in.
    """
    tokens, checkpointing = tokens_of_update(plan), checkpointing_of(plan)
    language, vision = _layers(plan)
    patches = tokens * image_share(plan) * plan.model.patches_of_token
    return Pass(
        tokens * language.kept(size, checkpointing),
        patches * vision.kept(size, checkpointing) if plan.model.vision_trained else 0,
        tokens * language.backward(size, checkpointing),
        logits_of(plan, size).bytes_of(tokens),
    )


def probabilities_pass(plan: Plan, size: int) -> Pass:
    """Of old and reference probabilities: a forward pass, whose layers keep nothing."""
    tokens = tokens_of_probabilities(plan)
    language, _ = _layers(plan)
    return Pass(0, 0, tokens * language.of_layer(size), logits_of(plan, size).bytes_of(tokens))


def image_share(plan: Plan) -> float:
    """Share of a sequence's tokens that are of its images: those of a typical prompt in one of typical length."""
    return min(plan.image_tokens / (plan.prompt_tokens + plan.response_tokens), 1.0)


def logits_of(plan: Plan, size: int) -> Logits:
    """How this run handles its logits."""
    model = plan.config.actor_rollout_ref.model
    scaled = float(plan.rollout.temperature) != 1.0
    flash = bool(model.use_remove_padding)
    return Logits(int(plan.model.text.vocab_size), bool(model.use_fused_kernels), flash, scaled, size)


def _layers(plan: Plan) -> tuple[Layers, Layers]:
    return language_layers(plan.model.text), vision_layers(plan.model.config.vision_config)


def checkpointing_of(plan: Plan) -> bool:
    """Whether layers are computed again in the backward pass."""
    return bool(plan.config.actor_rollout_ref.model.enable_gradient_checkpointing)
