"""What a run decides from results: the stage of a curriculum that waits, and the order of the training samples."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from omegaconf import OmegaConf
from verl.trainer.ppo.v1 import PPOTrainer

from verl_vision_r1.documents import read_text
from verl_vision_r1.rewards.readiness import Readiness, mean_iou_of_matches
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.settings import Sampling
from verl_vision_r1.training.metrics import readiness_metrics
from verl_vision_r1.training.sampler import make_sampler

STATE: Final = "vision_r1.json"
"""File in a checkpoint folder with the state of a curriculum that waits."""


class SteeredTrainer(PPOTrainer):
    """The trainer keeps one `Readiness` per run, and gives the data loader our sampler."""

    train_dataloader: Any

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        settings: Any = OmegaConf.to_container(self.config.vision_r1, resolve=True)
        self.readiness = Readiness(Curriculum.from_config(settings["curriculum"]), self.total_training_steps)
        self.extras_of_the_step: list[dict[str, float | str]] = []
        self._use_sampler(Sampling.from_config(settings.get("sampler", {})))

    def _use_sampler(self, sampling: Sampling) -> None:
        data = self.config.data
        sampler = make_sampler(sampling, self.train_dataset, data.get("seed"), data.train_batch_size)
        if sampler is None:
            return
        loader = self.train_dataloader
        self.train_dataloader = type(loader)(
            dataset=loader.dataset,
            batch_size=loader.batch_size,
            num_workers=loader.num_workers,
            drop_last=True,
            collate_fn=loader.collate_fn,
            sampler=sampler,
        )

    def fit(self, agent_loop_manager: Any) -> None:
        """Train; every batch takes the stage reached to the reward workers."""
        from verl_vision_r1.training.agent_loop import VisionR1AgentLoopManager

        if isinstance(agent_loop_manager, VisionR1AgentLoopManager):
            agent_loop_manager.readiness = self.readiness
        elif self.readiness.curriculum.waits:
            raise ValueError(
                "actor_rollout_ref.rollout.agent.agent_loop_manager_class: expected VisionR1AgentLoopManager or a"
                " subclass for vision_r1.curriculum.stages with mean_iou, got"
                f" {type(agent_loop_manager).__name__}"
            )
        super().fit(agent_loop_manager)

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """One step of verl; its matches count for the next stage, before the checkpoint is saved."""
        self.extras_of_the_step = []
        batch = super().step(metrics, timing_raw)
        self.readiness.observe(self.global_steps, mean_iou_of_matches(self.extras_of_the_step))
        metrics.update(readiness_metrics(self.readiness))
        return batch

    def see(self, extras: Sequence[dict[str, float | str]], tags: Sequence[dict[str, Any]]) -> None:
        """Remember the scores of an update, without the samples that verl added as padding."""
        pairs = zip(extras, tags, strict=True)
        self.extras_of_the_step += [extra for extra, tag in pairs if not tag.get("is_padding", False)]

    def _save_checkpoint(self) -> None:
        # Before verl names the checkpoint as the latest: a run killed in between resumes from the previous one.
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        if self.readiness.curriculum.waits:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / STATE).write_text(json.dumps(self.readiness.state_dict()), encoding="utf-8")
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps and self.readiness.curriculum.waits:
            load_state(self._resumed_folder() / STATE, self.readiness)

    def _resumed_folder(self) -> Path:
        trainer = self.config.trainer
        if trainer.resume_mode == "resume_path":
            return Path(trainer.resume_from_path)
        return Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"


def load_state(file: Path, readiness: Readiness) -> None:
    """Continue at the stage that a checkpoint has; without it, at the first.

    Raises:
        ValueError: The file is not one of ours.
    """
    if not file.is_file():
        print(f"vision_r1.curriculum: {file} does not exist: the curriculum starts at its first stage")
        return
    try:
        readiness.load_state_dict(json.loads(read_text(file)))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
