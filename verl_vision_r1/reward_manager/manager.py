"""The reward manager `vision_r1`: from verl's sample to completion, target and step; from scores to verl's dict."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from verl_vision_r1.families import expect_trained
from verl_vision_r1.frames import Size, frame_size, resolve_frame, smart_resize, write_size
from verl_vision_r1.reward_manager.image_size import (
    image_parts,
    pixel_bounds,
    size_from_position_ids,
    unreadable_image,
)
from verl_vision_r1.reward_manager.log_probs import box_log_probs_text, token_log_probs
from verl_vision_r1.rewards.answers import wants_special_tokens
from verl_vision_r1.rewards.answers.box_log_probs import BOX_LOG_PROBS
from verl_vision_r1.rewards.answers.decoding import decode, end_tokens
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, nothing_scored, score_completion
from verl_vision_r1.settings import Settings
from verl_vision_r1.targets import Target

logger = logging.getLogger(__name__)


@register("vision_r1")
class VisionR1RewardManager(RewardManagerBase):
    """Scores completions with the run's reward preset and the thresholds of the current stage.

    Select it with `reward.reward_manager.name=vision_r1`; its settings are under the key `vision_r1`. If a reward
    raises, verl marks the whole prompt as failed; therefore a malformed completion never raises.
    """

    def __init__(self, config: DictConfig, tokenizer: Any, compute_score: Any, **kwargs: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        plain = OmegaConf.to_container(config.vision_r1, resolve=True)
        self.settings = Settings.from_config(plain)  # type: ignore[arg-type]
        self.criteria = self.settings.preset.criteria
        self.response_length = config.actor_rollout_ref.rollout.response_length
        self.total_steps = total_steps(config)
        model = load_model_config(config.actor_rollout_ref.model)
        expect_trained(model.model_type)
        self.frame = resolve_frame(self.settings.frame, model.model_type)
        self.ends = end_tokens(tokenizer, load_generation_config(config.actor_rollout_ref.model))
        self.image_token_id = getattr(model, "image_token_id", -1)
        vision = getattr(model, "vision_config", None)
        self.factor = getattr(vision, "patch_size", 14) * getattr(vision, "spatial_merge_size", 2)
        self.warned = False
        self.logged: set[str] = set()

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score one sample.

        Args:
            data: One rollout from verl's agent loop; if it has several outputs, the last one is scored.

        Returns:
            `reward_score`, and `reward_extra_info` with the keys of `Scores.as_dict`, `clipped`, `image_unreadable`
            and `scoring_seconds` (numbers), and of `row_facts` and `output`, the completion as it was scored (text,
            for the rollout file). In validation also `box_log_probs` (text), if the rollout engine gives
            log-probabilities.
        """
        sample = data[-1:][0]
        target = Target.from_json(sample.non_tensor_batch["reward_model"]["ground_truth"])
        rules = self.settings.preset.rules_of(target)
        ids, clipped = self._response(sample)
        completion = decode(self.tokenizer, ids, self.ends, wants_special_tokens(rules.parser))
        frame = self._frame(sample, target, rules.frame or self.frame)
        start = time.perf_counter()
        unreadable = unreadable_image(sample.non_tensor_batch["raw_prompt"])
        scores = self._scores(completion, target, rules, frame, self._stage(sample), unreadable)
        taken = time.perf_counter() - start
        self._log_faults(scores, unreadable, sample)
        extra = {
            **scores.as_dict(self.criteria),
            **{"clipped": float(clipped), "image_unreadable": float(bool(unreadable)), "scoring_seconds": taken},
            **row_facts(sample.non_tensor_batch, frame),
            "output": completion,  # For the rollout file, where verl writes it without special tokens.
        }
        if log_probs := token_log_probs(sample.non_tensor_batch):
            extra[BOX_LOG_PROBS] = box_log_probs_text(self.tokenizer, ids, log_probs, completion, rules.parser, frame)
        return {"reward_score": scores.total, "reward_extra_info": extra}

    def _scores(
        self, completion: str, target: Target, rules: TaskRules, frame: Size, stage: Stage, unreadable: str
    ) -> Scores:
        """The scores, all zero if the image could not be read or a custom parser or matcher raises.

        This never raises, even if `on_error` is "raise": verl would mark the prompt as failed and continue. Our
        trainer modes read the flags and stop the run.
        """
        if unreadable:
            return nothing_scored(target, rules, stage)
        try:
            return score_completion(completion, target, replace(rules, on_error="zero"), frame, stage)
        except Exception as error:
            return nothing_scored(target, rules, stage, answer=error)

    def _log_faults(self, scores: Scores, unreadable: str, sample: Any) -> None:
        """Log each kind of fault once per process; the flags count all of them."""
        faults: dict[str, tuple[str, Exception | None]] = {
            name: (f"vision_r1.reward: {name} failed and counts 0", error) for name, error in scores.errors.items()
        }
        if unreadable:
            faults[unreadable] = (f"an image could not be read, its samples score 0: {unreadable}", None)
        for key, (message, error) in faults.items():
            if key not in self.logged:
                self.logged.add(key)
                row = sample.non_tensor_batch.get("extra_info")
                source = sample.non_tensor_batch.get("data_source")
                logger.error("%s; row %s of %s", message, row, source, exc_info=error)

    def _response(self, sample: Any) -> tuple[list[int], bool]:
        """The tokens of the response, and whether it was truncated at the length limit."""
        prompt_length = len(sample.batch["prompts"])
        length = int(sample.batch["attention_mask"][prompt_length:].sum())
        ids = sample.batch["responses"][:length].tolist()
        clipped = length >= self.response_length and ids[-1] not in self.ends
        return ids, clipped

    def _stage(self, sample: Any) -> Stage:
        if sample.non_tensor_batch.get("is_validate", False):
            return self.settings.curriculum.validation_stage()
        columns = sample.non_tensor_batch
        step, reached = int(columns["global_steps"]), int(columns.get("stage_reached", 0))
        return self.settings.curriculum.stage(step, self.total_steps, reached)

    def _frame(self, sample: Any, target: Target, name: str) -> Size:
        if name != "resized_pixels":
            return frame_size(name, (target.width, target.height))
        prompt_length = len(sample.batch["prompts"])
        actual = size_from_position_ids(
            sample.batch["input_ids"][:prompt_length],
            sample.batch["position_ids"][..., :prompt_length],
            self.image_token_id,
            self.factor,
        )
        bounds = pixel_bounds(sample.non_tensor_batch["raw_prompt"])
        expected = smart_resize(target.width, target.height, self.factor, *bounds) if bounds else None
        self._compare(actual, expected, target)
        return actual or expected or (target.width, target.height)

    def _compare(self, actual: Size | None, expected: Size | None, target: Target) -> None:
        """Warn once if the actual size differs from the one that follows from the sample's pixel bounds."""
        if self.warned or (actual is not None and expected in (None, actual)):
            return
        self.warned = True
        logger.warning(
            "size of a %dx%d image: the model's position ids say %s, the row's pixel bounds say %s; the first known"
            " size is used. To do: make the processor's pixel bounds wider than the row's, so that it does not resize"
            " the image again.",
            target.width,
            target.height,
            actual,
            expected,
        )


def row_facts(columns: Mapping[str, Any], frame: Size) -> dict[str, str]:
    """The sample's identity and frame for the rollout file, to which verl writes only text and ground truth.

    Args:
        columns: The sample's `data_source`, `extra_info` and `raw_prompt`.
        frame: (width, height) of the frame of the predicted boxes.

    Returns:
        `data_source`, `image_id`, `question`, `subject`, `image` (its path; empty if the sample contains the image)
        and `frame` ("644x476"). All are text, because verl averages numbers.
    """
    extra = columns.get("extra_info") or {}
    image = next((part["image"] for part in image_parts(columns["raw_prompt"])), "")
    return {
        "data_source": str(columns.get("data_source", "")),
        **{name: str(extra.get(name) or "") for name in ("image_id", "question", "subject")},
        "image": image if isinstance(image, str) and not image.startswith("data:") else "",
        "frame": write_size(frame),
    }


def total_steps(config: DictConfig) -> int:
    """Total training steps, in units of `global_steps`.

    verl writes the total into the optimizer's settings before it starts the reward workers. In the asynchronous
    trainer modes, that total counts updates; `parameter_sync_step` updates are one step.
    """
    total = int(config.actor_rollout_ref.actor.optim.total_training_steps)
    mode = config.trainer.v1.get(str(config.trainer.v1.trainer_mode).removeprefix("vision_r1_")) or {}
    return max(total // int(mode.get("parameter_sync_step", 1)), 1)


def load_model_config(model: DictConfig) -> Any:
    """The Hugging Face configuration of the run's model."""
    from transformers import AutoConfig
    from verl.utils.fs import copy_to_local

    path = copy_to_local(model.path)
    return AutoConfig.from_pretrained(path, trust_remote_code=model.get("trust_remote_code", False))


def load_generation_config(model: DictConfig) -> Any:
    """The generation configuration of the run's model; None if it has none."""
    from transformers import GenerationConfig
    from verl.utils.fs import copy_to_local

    try:
        return GenerationConfig.from_pretrained(copy_to_local(model.path))
    except OSError:
        return None
