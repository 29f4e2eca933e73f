"""What the check runs: its sizes, verl's command for them, and what each part of a step may take."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verl_vision_r1.preflight.estimate.figure import GIB, Figure
from verl_vision_r1.preflight.gpu_check.machine import Machine
from verl_vision_r1.training.process import RunFolder

STEPS: Final = 3
"""The first one warms up; the others are measured."""
ROLLOUTS: Final = 4
"""Answers to a prompt, as in Vision-R1's release."""
OFFLOAD: Final = (
    ("vision_r1/engine=fsdp2",),
    ("vision_r1/engine=fsdp2_offload",),
    ("vision_r1/engine=fsdp2_offload", "actor_rollout_ref.actor.fsdp_config.offload_policy=true"),
)
"""Where weights and optimizer are, by the room that it needs: on the GPU, there when used, on the host."""
UNPACKED: Final = (
    "actor_rollout_ref.model.use_remove_padding=false",
    "actor_rollout_ref.model.use_fused_kernels=false",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
)
"""Without flash-attn: torch's own attention."""
SLACK: Final = 3.0
"""A part of a step may take so many times what `vision-r1 estimate` says of it,"""
EXTRA: Final = 10.0
"""and so many seconds more."""
LONGEST: Final = 1024
"""Tokens of a prompt at most."""


@dataclass(frozen=True)
class Plan(RunFolder):
    """One check.

    Attributes:
        folder: All that it makes.
        machine: Where it runs.
        small: Whether the model is the one of two layers.
    """

    machine: Machine
    small: bool = False

    @property
    def model(self) -> Path:
        """Folder of the model."""
        return self.folder / "model"

    @property
    def prompts(self) -> int:
        """Prompts of a step: enough that every GPU has some."""
        return 8 if self.small else 16 * max(self.machine.gpus, 1)

    @property
    def response(self) -> int:
        """Tokens of an answer: random weights go on to the limit."""
        return 32 if self.small else 256

    @property
    def scenes(self) -> int:
        """Scenes to train on: a new one for each prompt."""
        return self.prompts * STEPS

    @property
    def side(self) -> int:
        """Side in pixels that images are resized to."""
        return 140 if self.small else 448


def overrides(plan: Plan, offload: tuple[str, ...] = ()) -> list[str]:
    """The run as verl's command line has it.

    Args:
        plan: The check.
        offload: One of `OFFLOAD`; nothing on a CPU.
    """
    return [
        "+recipe=vision_r1_qwen3b" if plan.machine.gpus else "+recipe=vision_r1_cpu",
        *plan.files(plan.folder / "rows", plan.model),
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
    """What a run may take.

    Attributes:
        run: The overrides that were chosen for the machine.
        memory: GiB that the training may hold on one GPU at most; None on a CPU.
        seconds: Seconds that each part of a step may take, by verl's name of the part; empty on a CPU.
    """

    run: list[str]
    memory: float | None
    seconds: dict[str, float]


def expect(plan: Plan) -> Expected:
    """Choose where weights and optimizer are, and say what the run may take, by `vision-r1 estimate`.

    Raises:
        ValueError: The model does not fit, wherever they are.
    """
    if not plan.machine.gpus:
        return Expected(overrides(plan), None, {})
    for offload in OFFLOAD:
        run = overrides(plan, offload)
        figures = list(_estimated(plan, run))
        if not any("does not fit" in figure.basis for figure in figures):
            return Expected(run, _memory(figures), budget(figures))
    machine = f"{plan.machine.gpus} x {plan.machine.memory:.0f} GiB"
    raise ValueError(f"expected GPUs that hold 3.75 billion parameters, got {machine}; --small has a tiny model")


def _estimated(plan: Plan, run: list[str]) -> Iterator[Figure]:
    from verl_vision_r1.preflight.estimate import Assumptions, estimate, make_plan
    from verl_vision_r1.preflight.gpu_check.model import architecture

    with tempfile.TemporaryDirectory() as folder:  # The model itself is not there yet in a dry run.
        architecture(plan.small).save_pretrained(folder)
        assumed = Assumptions(plan.machine.memory, plan.machine.kind, model_config=Path(folder))
        for section in estimate(make_plan(run, assumed)):
            yield from section.figures


def _memory(figures: list[Figure]) -> float:
    """GiB of the highest of the training's peaks; vLLM's memory is not verl's to count."""
    peaks = ("peak: probabilities", "peak: update", "peak: optimizer step")
    return max(float(figure.value or 0) for figure in figures if figure.name in peaks) / GIB


def budget(figures: list[Figure]) -> dict[str, float]:
    """Seconds for each part of a step, from the figures of an estimate.

    Example:
        >>> budget([Figure("update of a step", 6.0, "seconds", "")])["ref"]
        16.0
    """
    known = {figure.name: float(figure.value or 0) for figure in figures if not isinstance(figure.value, str)}
    update, generation = known.get("update of a step", 0.0), known.get("generation of a step, least", 0.0)
    # A forward pass is a third of an update; what sending the weights takes, no estimate says.
    parts = {"gen": generation, "old_log_prob": update / 3, "ref": update / 3, "update_actor": update}
    parts["update_weights"] = 0.0
    seconds = {name: round(SLACK * value + EXTRA, 1) for name, value in parts.items()}
    return {**seconds, "step": round(sum(seconds.values()), 1)}
