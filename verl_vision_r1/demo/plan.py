"""The training run of the demo: its options, files and command."""

from dataclasses import dataclass
from pathlib import Path

from verl_vision_r1.training.process import RunFolder, quoted, trainer_command


@dataclass(frozen=True)
class Demo(RunFolder):
    """Options and files of one run of the demo.

    Attributes:
        folder: Output folder.
        steps: GRPO steps.
        seed: Seed of the training scenes, their order and the rollouts.
        teaching_steps: Maximum number of supervised steps before GRPO on the user's images.
        overrides: Further overrides of the configuration.
        rows: Folder of train.parquet and val.parquet; by default in the output folder.
        model: Folder of the initial model; by default in the output folder.
    """

    steps: int
    seed: int = 0
    teaching_steps: int = 1400
    overrides: tuple[str, ...] = ()
    rows: Path = None  # type: ignore[assignment]  # Set by __post_init__.
    model: Path = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("rows", "model"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.folder / name)

    @property
    def validations(self) -> Path:
        """Folder of the predictions on the validation samples, one file per validated step."""
        return self.folder / "validation"

    def command(self) -> list[str]:
        """The command of verl's trainer with the recipe `vision_r1_cpu` and the demo's files."""
        return trainer_command(
            [
                "+recipe=vision_r1_cpu",
                *self.files(self.rows, self.model),
                quoted(f"trainer.validation_data_dir={self.validations}"),
                f"trainer.total_training_steps={self.steps}",
                f"trainer.test_freq={self.steps}",
                f"data.seed={self.seed}",
                f"actor_rollout_ref.rollout.seed={self.seed}",
                *self.overrides,
            ]
        )

    def environment(self, ray_folder: str) -> dict[str, str]:
        """The environment of a training run, with the CPU as the platform."""
        return super().environment(ray_folder) | {"VERL_PLATFORM": "cpu"}
