"""The variants of the ablations: each is the demo with one thing changed."""

from dataclasses import dataclass
from typing import Final

POOL: Final = 640
"""Training samples of the variants with a sampler: their difficulty is measured first."""
DIFFICULTY: Final = "DIFFICULTY"
"""Stands for the difficulty file of the seed in the overrides of a variant."""
NEVER_REFUSES: Final = "never_refuses"
"""The initial model of the variants of refusal."""
PRECISION: Final = "vision_r1.reward.tasks.detection.criteria.precision.weight"


@dataclass(frozen=True)
class Variant:
    """One variant of the demo.

    Attributes:
        title: The change, as the table shows it.
        overrides: The change of the configuration.
        prompt: Prompt template and output format, a key of `lessons.ANSWERS`.
        supervised: Supervised training instead of GRPO: number of correct completions per prompt; 0 for GRPO.
        fresh: Supervised training takes all training samples in turn, not only the prompts that GRPO would use.
        then_grpo: GRPO follows the supervised training.
        negatives: For the variants of refusal, which have another initial model: `negatives` and `absent` of
            `refusal.prepare_with_negatives`.
    """

    title: str
    overrides: tuple[str, ...] = ()
    prompt: str = "vision_r1"
    supervised: int = 0
    fresh: bool = False
    then_grpo: bool = False
    negatives: tuple[float, float] | None = None


def _preset(name: str, prompt: str = "vision_r1", *more: str) -> Variant:
    return Variant(f"preset {name}", (f"vision_r1/reward={name}", *more), prompt)


def _vision_r1(change: str, *more: str) -> Variant:
    return Variant(f"preset vision_r1, {change}", ("vision_r1/reward=vision_r1", *more))


def _robust(change: str, *more: str, pool: bool = False) -> Variant:
    limit = (f"data.train_max_samples={POOL}",) if pool else ()
    return Variant(f"the demo, {change}", (*limit, *more))


def _filtered(metric: str, *more: str) -> Variant:
    keys = ("algorithm.filter_groups.enable=true", f"algorithm.filter_groups.metric={metric}")
    return _robust(f"groups filtered by {metric}", *keys, *more)


def _sampled(draw: str) -> Variant:
    keys = (f"vision_r1.sampler.draw={draw}", f"vision_r1.sampler.difficulty={DIFFICULTY}")
    return _robust(f"{POOL} samples, sampler {draw}", *keys, pool=True)


def _refusal(change: str, negatives: float, absent: float = 0.0, *more: str) -> Variant:
    return Variant(f"never refuses at first, {change}", more, negatives=(negatives, absent))


def _by_criterion(keys: str) -> tuple[str, ...]:
    return "algorithm.adv_estimator=vision_r1_gdpo", f"algorithm.gdpo_reward_keys={keys}"


BY_CRITERION: Final = "advantages by criterion (GDPO)"
HALF: Final = (
    "+vision_r1.reward.tasks.detection.criteria.half_found="
    "{weight: 0.0, function: 'verl_vision_r1.demo.half_found:half_found'}"
)
"""A criterion without weight, for filtering: whether half of the objects are found."""

VARIANTS: Final[dict[str, Variant]] = {
    "robust": Variant("the demo: preset robust, no refinement, no KL"),
    "vision_r1": _preset("vision_r1"),
    "vision_r1_release_2025": _preset("vision_r1_release_2025"),
    # In pixels: the model would have to learn the 0-1000 grid.
    "visual_rft": _preset("visual_rft", "visual_rft", "vision_r1.reward.tasks.detection.frame=resized_pixels"),
    "vlm_r1_od_ap": _preset("vlm_r1_od_ap", "vlm_r1"),
    "vlm_r1_od_length": _preset("vlm_r1_od_length", "vlm_r1"),
    "with_label": _vision_r1("boxes matched by label", "vision_r1.reward.tasks.detection.matcher=same_label"),
    "no_precision": _vision_r1("without precision", f"{PRECISION}=0"),
    "beginner_only": _vision_r1("curriculum beginner_only", "vision_r1/curriculum=beginner_only"),
    "halfway": _vision_r1("curriculum halfway", "vision_r1/curriculum=halfway"),
    "third": _vision_r1("curriculum third", "vision_r1/curriculum=third"),
    "when_ready": _vision_r1("curriculum when_ready", "vision_r1/curriculum=when_ready"),
    "robust_halfway": _robust("curriculum halfway", "vision_r1/curriculum=halfway"),
    "robust_when_ready": _robust("curriculum when_ready", "vision_r1/curriculum=when_ready"),
    "filter_total": _filtered("total"),
    "filter_acc": _filtered("acc"),
    "filter_half_found": _filtered("half_found", HALF),
    "sampler_off": _robust(f"{POOL} samples, no sampler", pool=True),
    "sampler_drop": _sampled("drop"),
    "sampler_weight": _sampled("weight"),
    "gdpo": _robust(BY_CRITERION, *_by_criterion("[format,f1]"), "algorithm.gdpo_reward_weights=[0.1,0.9]"),
    "vision_r1_gdpo": _vision_r1(BY_CRITERION, *_by_criterion("[format,recall,precision]")),
    "kl": _vision_r1("KL to the initial model, 0.01", "actor_rollout_ref.actor.use_kl_loss=true"),
    "refusal_none": _refusal("no negative samples", 0.0),
    "refusal": _refusal("negative samples: scenes of other colours", 1.0),
    "refusal_undivided": _refusal(
        "the same, advantages not divided by the deviation", 1.0, 0.0, "algorithm.norm_adv_by_std_in_grpo=false"
    ),
    "refusal_absent": _refusal("negative samples: absent categories", 0.0, 1.0),
    "supervised": Variant("supervised, one completion per prompt", supervised=1),
    "supervised_often": Variant("supervised, as many completions as rollouts", supervised=8),
    "supervised_long": Variant("supervised, new samples for about the time of GRPO", supervised=16, fresh=True),
    "supervised_then_grpo": Variant("supervised, one completion per prompt, then GRPO", supervised=1, then_grpo=True),
}
"""Variants by name, as in `--only`. A variant with another output format has another initial model."""
