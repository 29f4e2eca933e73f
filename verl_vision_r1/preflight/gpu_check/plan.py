"""The run of the check: its sizes, verl's overrides, and the limits of each part of a step."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.gpu_check.machine import Machine
from verl_vision_r1.training.process import RunFolder

STEPS: Final = 3
"""Number of steps; the first one warms up, the others are measured."""
ROLLOUTS: Final = 4
"""Completions per prompt, as in Vision-R1's release."""
OFFLOAD: Final = (
    ("vision_r1/engine=fsdp2",),
    ("vision_r1/engine=fsdp2_offload",),
    ("vision_r1/engine=fsdp2_offload", "actor_rollout_ref.actor.fsdp_config.offload_policy=true"),
)
"""Where weights and optimizer state are: on the GPU, offloaded between phases, on the host."""
UNPACKED: Final = (
    "actor_rollout_ref.model.use_remove_padding=false",
    "actor_rollout_ref.model.use_fused_kernels=false",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
)
"""Overrides without flash-attn: torch's own attention."""
FACTOR: Final = 3.0
"""The limit of a part of a step is its estimate times this factor,"""
EXTRA: Final = 10.0
"""plus these seconds."""
LONGEST: Final = 1024
"""Maximum tokens of a prompt."""


@dataclass(frozen=True)
class Plan(RunFolder):
    """The run of the check.

    Attributes:
        folder: Output folder.
        machine: The machine.
        small: Whether the model has two layers.
    """

    machine: Machine
    small: bool = False

    @property
    def model(self) -> Path:
        """Folder of the model."""
        return self.folder / "model"

    @property
    def data(self) -> Path:
        """Folder of the parquet files."""
        return self.folder / "data"

    @property
    def prompts(self) -> int:
        """Prompts per step; every GPU gets some."""
        return 8 if self.small else 16 * max(self.machine.gpus, 1)

    @property
    def response(self) -> int:
        """Tokens per completion; random weights always reach the limit."""
        return 32 if self.small else 256

    @property
    def scenes(self) -> int:
        """Number of training scenes: a new one for each prompt."""
        return self.prompts * STEPS

    @property
    def side(self) -> int:
        """Side of the resized images in pixels."""
        return 140 if self.small else 448


def overrides(plan: Plan, offload: tuple[str, ...] = ()) -> list[str]:
    """The overrides on verl's command line.

    Args:
        plan: The run.
        offload: One of `OFFLOAD`; empty on a CPU.
    """
    return [
        "+recipe=vision_r1_qwen3b" if plan.machine.gpus else "+recipe=vision_r1_cpu",
        *plan.files(plan.data, plan.model),
        f"data.train_batch_size={plan.prompts}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={plan.prompts}",
        f"data.max_prompt_length={LONGEST}",
        f"data.max_response_length={plan.response}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        f"trainer.total_training_steps={STEPS}",
        *("trainer.save_freq=-1", "trainer.test_freq=-1", "trainer.val_before_train=false"),
        *("trainer.resume_mode=disable", "trainer.logger=[console,file]", "trainer.validation_data_dir=null"),
        *([f"trainer.n_gpus_per_node={plan.machine.gpus}"] if plan.machine.gpus else []),
        *(UNPACKED if plan.machine.gpus and not plan.machine.flash else ()),
        *offload,
    ]


@dataclass(frozen=True)
class Expected:
    """The limits of a run.

    Attributes:
        run: The overrides for the machine.
        memory: Maximum GiB of the training run on one GPU; None on a CPU.
        seconds: Maximum seconds of each part of a step, by verl's name; empty on a CPU.
    """

    run: list[str]
    memory: float | None
    seconds: dict[str, float]


def expect(plan: Plan) -> Expected:
    """Choose the first of `OFFLOAD` that fits, and set the limits by `vision-r1 estimate`.

    Raises:
        ValueError: The model does not fit with any of `OFFLOAD`.
    """
    if not plan.machine.gpus:
        return Expected(overrides(plan), None, {})
    for offload in OFFLOAD:
        run = overrides(plan, offload)
        figures = list(_estimated(plan, run))
        if not any("does not fit" in figure.basis for figure in figures):
            return Expected(run, _memory(figures), time_limits(figures))
    machine = f"{plan.machine.gpus} x {plan.machine.memory:.0f} GiB"
    raise ValueError(
        f"expected GPUs with memory for 3.75 billion parameters, got {machine}; --small uses a tiny model"
    )


def _estimated(plan: Plan, run: list[str]) -> Iterator[Figure]:
    from verl_vision_r1.preflight.estimate import Assumptions, estimate, make_plan
    from verl_vision_r1.preflight.gpu_check.model import architecture

    with tempfile.TemporaryDirectory() as folder:  # A dry run has not built the model.
        architecture(plan.small).save_pretrained(folder)
        assumed = Assumptions(plan.machine.memory, plan.machine.kind, model_config=Path(folder))
        for section in estimate(make_plan(run, assumed)):
            yield from section.figures


def _memory(figures: list[Figure]) -> float:
    """GiB of the highest peak of training; verl's metric does not include vLLM's memory."""
    peaks = ("peak: log-probabilities", "peak: update", "peak: optimizer step")
    return max(float(figure.value or 0) for figure in figures if figure.name in peaks) / GIB


def time_limits(figures: list[Figure]) -> dict[str, float]:
    """Maximum seconds of each part of a step, from the figures of an estimate.

    Example:
        >>> time_limits([Figure("update per step", 6.0, "seconds", "")])["ref"]
        16.0
    """
    known = {figure.name: float(figure.value or 0) for figure in figures if not isinstance(figure.value, str)}
    update, generation = known.get("update per step", 0.0), known.get("generation per step", 0.0)
    # A forward pass is a third of an update. The weight transfer is not estimated.
    parts = {"gen": generation, "old_log_prob": update / 3, "ref": update / 3, "update_actor": update}
    parts["update_weights"] = 0.0
    seconds = {name: round(FACTOR * value + EXTRA, 1) for name, value in parts.items()}
    return {**seconds, "step": round(sum(seconds.values()), 1)}
