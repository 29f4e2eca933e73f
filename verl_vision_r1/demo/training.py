"""verl's trainer as the demo runs it."""

from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.training.process import RunFolder, trainer_command


@dataclass(frozen=True)
class Demo(RunFolder):
    """Where a demo's files lie and how it trains.

    Attributes:
        folder: All that the demo makes.
        steps: Steps of reinforcement.
        seed: Of the scenes that are trained on, their order and the rollouts.
        teaching_steps: Supervised steps before, on images of your own. Few rows are then known by heart, but with
            fewer steps the form of an answer is not learnt, and where every rollout of a group fails alike there is no
            gradient.
        overrides: Further overrides of the training's configuration.
        rows: Folder of train.parquet and val.parquet.
        model: Folder of the taught model, which the reinforcement starts from.
    """

    steps: int
    seed: int = 0
    teaching_steps: int = 150
    overrides: tuple[str, ...] = ()
    rows: Path = None  # type: ignore[assignment]  # By default in the demo's own folder, as is the model.
    model: Path = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("rows", "model"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.folder / name)

    @property
    def validations(self) -> Path:
        """The answers to the validation rows, a file for each step that was validated."""
        return self.folder / "validation"

    def command(self) -> list[str]:
        """The command of the training: verl's own trainer with our recipe, and the demo's files."""
        return trainer_command(
            [
                "+recipe=vision_r1_cpu",
                *self.files(self.rows, self.model),
                f"trainer.validation_data_dir={self.validations}",
                f"trainer.total_training_steps={self.steps}",
                f"trainer.test_freq={self.steps}",
                f"data.seed={self.seed}",
                f"actor_rollout_ref.rollout.seed={self.seed}",
                *self.overrides,
            ]
        )

    def environment(self, ray_folder: str) -> dict[str, str]:
        """The environment of any training, and the CPU as the platform."""
        return super().environment(ray_folder) | {"VERL_PLATFORM": "cpu"}
