"""verl's trainer modes with the metrics of our rewards and advantages by criterion.

verl's V1 trainer does not log `reward_extra_info` (requested in verl #2115, #2279, #4545), and its advantage uses only
the score, so `algorithm.adv_estimator=gdpo` finds none of its keys. Our modes, registered with verl, add both:
`trainer.v1.trainer_mode=vision_r1_sync`, `vision_r1_colocate_async` and `vision_r1_separate_async`. Everything else is
verl's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import (
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)

from verl_vision_r1.training.advantages import criteria_of_the_batch
from verl_vision_r1.training.metrics import Rollouts, reward_metrics
from verl_vision_r1.training.run_file import write_run_file
from verl_vision_r1.training.steering import SteeredTrainer

MODE_PREFIX = "vision_r1_"
FAULTS = ("criterion_failed", "image_unreadable")
"""Flags of samples that score 0 for a reason other than the completion."""

SECONDS_TO_ANSWER = 30
"""Timeout of the liveness check; a reward worker that does not answer is busy, a dead one raises at once."""


LogImages = Callable[[list[dict[str, Any]], DictConfig, Mapping[str, Any], int], None]
"""(lines of a predictions file, configuration of the run, verl's loggers by name, step)."""


class RewardMetrics(SteeredTrainer):
    """The additions to verl's trainer modes.

    Attributes:
        log_images: Logs images of a validation; `plugin` sets it, since a run without `vision_r1.log_images` loads
            nothing that draws.
    """

    log_images: LogImages

    def __init__(self, config: DictConfig) -> None:
        # verl compares this name with its own in many places and uses it as a configuration key.
        config.trainer.v1.trainer_mode = str(config.trainer.v1.trainer_mode).removeprefix(MODE_PREFIX)
        super().__init__(config)
        self.extras_by_key: dict[str, dict[str, float | str]] = {}

    def _build_replay_buffer(self) -> Any:
        """The replay buffer of verl with a configurable `sampler_kwargs.poll_interval` (verl's default: two seconds).

        verl passes that key only to custom samplers.
        """
        buffer = super()._build_replay_buffer()
        seconds = self.config.trainer.v1.sampler.sampler_kwargs.get("poll_interval", buffer.poll_interval)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            raise ValueError(
                f"trainer.v1.sampler.sampler_kwargs.poll_interval: expected a number of seconds > 0, got {seconds!r}"
            )
        buffer.poll_interval = seconds
        return buffer

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> KVBatchMeta:
        """One step of verl, then stop the run if a reward worker died.

        verl would continue with the prompts of the other workers, or fail without naming the cause.
        """
        try:
            batch: KVBatchMeta = super().step(metrics, timing_raw)
        except Exception as error:  # If a worker died, its death is the cause.
            self._expect_reward_workers(error)
            raise
        self._expect_reward_workers(None)
        return batch

    def on_validate_begin(self) -> None:
        """Called before a validation."""
        self._expect_reward_workers(None)
        super().on_validate_begin()

    def _expect_reward_workers(self, cause: Exception | None) -> None:
        handles = self.reward_loop_manager.reward_loop_worker_handles or []
        answers = [handle.__ray_ready__.remote() for handle in handles]
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=SECONDS_TO_ANSWER) if answers else ([], [])
        for index, answer in enumerate(answers):
            if answer in ready and (death := _death(answer)):
                raise RuntimeError(
                    f"reward_loop_worker_{index}: expected a living reward worker, got {death}"
                ) from cause

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        extras = _extras(batch)
        self.see(extras, batch.tags)
        self._stop_if_asked({name: sum(float(extra.get(name, 0.0)) > 0 for extra in extras) for name in FAULTS})
        with criteria_of_the_batch(extras):
            return super()._compute_advantage(batch, metrics)

    def _validate(self) -> dict[str, Any]:
        metrics: dict[str, Any] = super()._validate()
        names = {name: [value for key, value in metrics.items() if f"/{name}/mean@" in key] for name in FAULTS}
        self._stop_if_asked({name: sum(value > 0 for value in values) for name, values in names.items()})
        return metrics

    def _stop_if_asked(self, counts: dict[str, int]) -> None:
        found = {name: count for name, count in counts.items() if count}
        if found and self.config.vision_r1.reward.on_error == "raise":
            raise RuntimeError(
                f"vision_r1.reward.on_error=raise: expected no fault, got {found} in step {self.global_steps}; the log"
                " of the reward workers has the samples"
            )

    def _compute_metrics(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        self.extras_by_key = dict(zip(batch.keys, _extras(batch), strict=True))
        metrics.update(reward_metrics(_rollouts(batch, self.extras_by_key)))

    def _dump_generations(
        self, inputs: Any, outputs: Any, gts: Any, scores: Any, reward_extra_infos_dict: Any, dump_path: Any
    ) -> None:
        # verl writes `reward_extra_info` for validation samples, but only the `uid` for training samples.
        extras = [self.extras_by_key.get(key) for key in reward_extra_infos_dict.get("uid", ())]
        if extras and all(extras):
            for key in dict.fromkeys(key for extra in extras for key in extra or ()):
                reward_extra_infos_dict[key] = [(extra or {}).get(key) for extra in extras]
        if self.config.vision_r1.get("log_images") and dump_path == self.config.trainer.validation_data_dir:
            columns = {"input": inputs, "output": outputs, "gts": gts, "score": scores, **reward_extra_infos_dict}
            entries = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            self.log_images(entries, self.config, self.logger.logger, self.global_steps)
        write_run_file(Path(dump_path), self.config)
        super()._dump_generations(inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path)


@register_trainer(MODE_PREFIX + "sync")
class VisionR1TrainerSync(RewardMetrics, PPOTrainerSync):
    """verl's mode `sync`."""


@register_trainer(MODE_PREFIX + "colocate_async")
class VisionR1TrainerColocateAsync(RewardMetrics, PPOTrainerColocateAsync):
    """verl's mode `colocate_async`."""


@register_trainer(MODE_PREFIX + "separate_async")
class VisionR1TrainerSeparateAsync(RewardMetrics, PPOTrainerSeparateAsync):
    """verl's mode `separate_async`."""


def _death(answer: Any) -> str:
    try:
        ray.get(answer)
    except ray.exceptions.RayActorError as error:
        return str(error).strip().splitlines()[0]
    return ""


def _extras(batch: KVBatchMeta) -> list[dict[str, float | str]]:
    """`reward_extra_info` of each sample."""
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
    fields = (getattr(value, "data", value) for value in list(data["extra_fields"]))
    return [dict(field.get("reward_extra_info") or {}) for field in fields]


def _rollouts(batch: KVBatchMeta, extras_by_key: dict[str, dict[str, float | str]]) -> Rollouts:
    """The samples of a batch, without padding."""
    keys = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
    fields = ["data_source", "uid", "rm_scores", "responses"]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    return Rollouts(
        sources=[str(getattr(source, "data", source)) for source in list(data["data_source"])],
        groups=[str(getattr(uid, "data", uid)) for uid in list(data["uid"])],
        scores=[float(score.sum()) for score in data["rm_scores"]],
        lengths=[len(response) for response in data["responses"]],
        extras=[extras_by_key[key] for key in keys],
    )
