"""Memory of the forward and backward passes of a training run on one GPU."""

import functools
import math
from dataclasses import dataclass

from verl_vision_r1.preflight.estimate.activations import (
    CHUNK,
    FLOAT32,
    Layers,
    Logits,
    language_layers,
    vision_ends_bytes,
    vision_layers,
)
from verl_vision_r1.preflight.estimate.plan import Plan


def tokens_of_update(plan: Plan) -> int:
    """Maximum number of tokens per GPU in one forward and backward pass."""
    if plan.actor.use_dynamic_bsz:
        return _largest(plan.completions_per_gpu, plan.longest, int(plan.actor.ppo_max_token_len_per_gpu))
    micro_batch = plan.actor.ppo_micro_batch_size_per_gpu or plan.actor.get("ppo_micro_batch_size")
    return int(micro_batch or plan.completions_per_gpu) * plan.longest


def tokens_of_probabilities(plan: Plan) -> int:
    """Maximum number of tokens per GPU in one forward pass for log-probabilities."""
    completions = math.ceil(plan.completions / plan.gpus)
    if plan.rollout.log_prob_use_dynamic_bsz:
        return _largest(completions, plan.longest, int(plan.rollout.log_prob_max_token_len_per_gpu))
    return int(plan.rollout.log_prob_micro_batch_size_per_gpu or completions) * plan.longest


@functools.cache
def _largest(completions: int, length: int, budget: int) -> int:
    """Tokens of the largest micro-batch that verl forms of completions of this length; it does not divide one."""
    import torch
    from tensordict import TensorDict
    from verl.utils.seqlen_balancing import rearrange_micro_batches

    if length > budget:
        return budget
    mask = torch.ones(1, 1, dtype=torch.long).expand(completions, length)
    batch = TensorDict({"input_ids": mask, "attention_mask": mask}, batch_size=[completions])
    parts, _ = rearrange_micro_batches(batch, max_token_len=budget)
    return max(map(len, parts)) * length


@dataclass(frozen=True)
class Pass:
    """Bytes of a forward and a backward pass.

    Attributes:
        stored: Activations of the language model between the two passes.
        vision: Activations of the vision tower and the connector.
        layer: Additional memory during the backward pass of a layer.
        logits: Additional memory during the computation of the loss.
        norm: Activations of the final norm, freed before the first layer's backward pass.
    """

    stored: float
    vision: float
    layer: float
    logits: float
    norm: float = 0

    @property
    def activations(self) -> float:
        """What both passes have stored at the maximum."""
        return self.stored + self.vision + (self.norm if self.logits + self.norm > self.layer else 0)

    @property
    def peak(self) -> float:
        """The maximum: the logits are freed before the first layer's backward pass."""
        return self.activations + max(self.layer, self.logits)


def update_pass(plan: Plan, size: int) -> Pass:
    """The pass of a policy update with the longest batch that the run allows.

    Args:
        plan: The run.
        size: Bytes per number of the compute dtype.
    """
    tokens, checkpointing = tokens_of_update(plan), checkpointing_of(plan)
    language, vision = _layers(plan)
    patches = tokens * image_fraction(plan) * plan.model.patches_of_token
    ends = vision_ends_bytes(plan.model.config.vision_config, size)
    return Pass(
        tokens * language.stored_bytes(size, checkpointing),
        patches * (vision.stored_bytes(size, checkpointing) + ends) if _records_vision(plan) else 0,
        tokens * language.backward_bytes(size, checkpointing) + _layer_gradients(plan, size),
        logits_of(plan, size).bytes_of(tokens) + _head_gradients(plan, tokens, size),
        tokens * language.norm_bytes(size),
    )


def _layer_gradients(plan: Plan, size: int) -> int:
    """Bytes of the gradients of one layer before FSDP reduces them, with their float32 copy; adapters are small."""
    return 0 if plan.adapters else plan.model.largest_layer * (size + FLOAT32)


def _head_gradients(plan: Plan, tokens: int, size: int) -> int:
    """Bytes of the head's gradients of two chunks, which verl's fused kernel computes although the head is frozen."""
    fused = bool(plan.config.actor_rollout_ref.model.use_fused_kernels)
    text = plan.model.text
    return fused * min(-(-tokens // CHUNK), 2) * int(text.vocab_size * text.hidden_size) * size


def _records_vision(plan: Plan) -> bool:
    """Whether activations of the vision tower are stored, which may be the case although it is frozen."""
    hooked = plan.model.vision_recorded and (checkpointing_of(plan) or plan.adapters)
    return plan.model.vision_trained or hooked


def probabilities_pass(plan: Plan, size: int) -> Pass:
    """The pass for old and reference log-probabilities: forward only, without stored activations."""
    tokens = tokens_of_probabilities(plan)
    language, _ = _layers(plan)
    return Pass(0, 0, tokens * language.layer_bytes(size), logits_of(plan, size).bytes_of(tokens))


def image_fraction(plan: Plan) -> float:
    """Fraction of image tokens in a typical sequence."""
    return min(plan.image_tokens / (plan.prompt_tokens + plan.response_tokens), 1.0)


def logits_of(plan: Plan, size: int) -> Logits:
    """How the run computes its logits."""
    model = plan.config.actor_rollout_ref.model
    scaled = float(plan.rollout.temperature) != 1.0
    flash = bool(model.use_remove_padding)
    return Logits(int(plan.model.text.vocab_size), bool(model.use_fused_kernels), flash, scaled, size)


def _layers(plan: Plan) -> tuple[Layers, Layers]:
    return language_layers(plan.model.text), vision_layers(plan.model.config.vision_config)


def checkpointing_of(plan: Plan) -> bool:
    """Whether gradient checkpointing is on."""
    return bool(plan.config.actor_rollout_ref.model.enable_gradient_checkpointing)
