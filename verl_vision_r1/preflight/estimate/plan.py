"""What all sections of an estimate rest on: the run, its model, its rows, and what a person assumes."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.preflight.estimate.model import Model, measure, read_config
from verl_vision_r1.preflight.estimate.samples import Lengths, read_lengths
from verl_vision_r1.settings import Settings

GPUS: Final = {"a100": 2.0e12, "h100": 3.35e12, "h200": 4.8e12}
"""Bytes a second that each GPU reads from its memory at most (SXM, 80 and 141 GB), by its maker's data sheet."""


@dataclass(frozen=True)
class Assumptions:
    """What no configuration says.

    Attributes:
        gpu_memory: Memory of one GPU in GiB.
        gpu: One of `GPUS`.
        mfu: Share of the GPU's peak that the update reaches, as verl logs it in `perf/mfu/actor`; in (0, 1].
        response_tokens: Mean tokens of an answer; None for the limit of the run.
        model_config: A `config.json` to read in the place of the model's own.
    """

    gpu_memory: float = 80.0
    gpu: str = "h100"
    mfu: float = 0.3
    response_tokens: int | None = None
    model_config: Path | None = None

    def __post_init__(self) -> None:
        if self.gpu not in GPUS:
            raise ValueError(f"--gpu: expected one of {', '.join(GPUS)}, got {self.gpu!r}")
        if not self.gpu_memory > 0:
            raise ValueError(f"--gpu-memory: expected GiB above 0, got {self.gpu_memory}")
        if not 0 < self.mfu <= 1:
            raise ValueError(f"--mfu: expected a share above 0 and at most 1, got {self.mfu}")
        if self.response_tokens is not None and self.response_tokens < 1:
            raise ValueError(f"--response-tokens: expected at least 1, got {self.response_tokens}")


@dataclass(frozen=True)
class Plan:
    """A run before it is started.

    Attributes:
        config: Its configuration, as verl composes it.
        settings: The key `vision_r1` of it.
        model: Its model, counted.
        lengths: Its prompts, measured.
        assumed: What a person assumes.
    """

    config: Any
    settings: Settings
    model: Model
    lengths: Lengths
    assumed: Assumptions

    @property
    def actor(self) -> Any:
        """`actor_rollout_ref.actor`."""
        return self.config.actor_rollout_ref.actor

    @property
    def rollout(self) -> Any:
        """`actor_rollout_ref.rollout`."""
        return self.config.actor_rollout_ref.rollout

    @property
    def gpus(self) -> int:
        """GPUs of the run."""
        return int(self.config.trainer.n_gpus_per_node * self.config.trainer.nnodes)

    @property
    def separate(self) -> bool:
        """Whether GPUs of their own generate."""
        return str(self.config.trainer.v1.trainer_mode).endswith("separate_async")

    @property
    def generating_gpus(self) -> int:
        """GPUs that generate."""
        return int(self.rollout.nnodes * self.rollout.n_gpus_per_node) if self.separate else self.gpus

    @property
    def samples(self) -> int:
        """Answers of one step."""
        return int(self.config.data.train_batch_size * self.rollout.n)

    @property
    def reference(self) -> bool:
        """Whether the probabilities of a reference are computed."""
        return bool(self.actor.use_kl_loss or self.config.algorithm.use_kl_in_reward)

    @property
    def adapters(self) -> bool:
        """Whether LoRA adapters are trained; the model without them is then the reference."""
        return int(self.config.actor_rollout_ref.model.get("lora_rank") or 0) > 0

    @property
    def old_probabilities(self) -> bool:
        """Whether verl computes the probabilities of the answers anew before the update."""
        correction = self.config.algorithm.get("rollout_correction") or {}
        return not correction.get("bypass_mode", False)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt and answer together that the run allows."""
        return int(self.config.data.max_prompt_length + self.config.data.max_response_length)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of a typical prompt."""
        return self.lengths.typical(int(self.config.data.max_prompt_length))

    @property
    def response_tokens(self) -> int:
        """Tokens of a typical answer."""
        return self.assumed.response_tokens or int(self.config.data.max_response_length)

    @property
    def image_tokens(self) -> int:
        """Tokens of a typical prompt's images."""
        return int(sorted(self.lengths.images)[len(self.lengths.images) // 2])

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps by verl's rule: what does not fill a batch is dropped; None where the rows are not here."""
        rows = self.lengths.kept(int(self.config.data.max_prompt_length))
        most = int(self.config.data.get("train_max_samples", -1))
        if rows is not None and most > 0:
            rows = min(rows, most)
        return None if rows is None else int(rows // self.config.data.train_batch_size)

    @functools.cached_property
    def total_steps(self) -> int | None:
        """Steps of the whole run, as verl counts them; 0 where it only validates."""
        if self.config.trainer.get("val_only"):
            return 0
        if self.config.trainer.total_training_steps is not None:
            return int(self.config.trainer.total_training_steps)
        each = self.steps_per_epoch
        return None if each is None else int(each * self.config.trainer.total_epochs)

    @property
    def replicas(self) -> int:
        """Copies of the model that generate side by side."""
        return max(self.generating_gpus // (self.tensor_parallel * int(self.rollout.pipeline_model_parallel_size)), 1)

    @property
    def tensor_parallel(self) -> int:
        """GPUs that share each layer of one generating copy."""
        return int(self.rollout.tensor_model_parallel_size)

    @property
    def samples_at_once(self) -> int:
        """Answers that each GPU has of one mini-batch, at most."""
        return math.ceil(int(self.actor.ppo_mini_batch_size * self.rollout.n) / self.gpus)


def make_plan(overrides: Sequence[str], assumed: Assumptions) -> Plan:
    """Compose a run and read what it rests on.

    Args:
        overrides: The run as verl's command line has it, `+recipe=NAME KEY=VALUE ...`.
        assumed: What no configuration says.

    Raises:
        ValueError: The run does not compose, its rewards or its rows are wrong, or its model is not at hand.
    """
    from omegaconf import OmegaConf

    from verl_vision_r1.preflight.doctor.check import Case
    from verl_vision_r1.preflight.doctor.installation import recipes

    if not overrides:
        raise ValueError("expected a run, such as +recipe=vision_r1_qwen7b, got none")
    case = Case(tuple(overrides))
    found = recipes(case)
    if not found.ok:
        raise ValueError(f"{' '.join(overrides)}: {found.found}; {found.advice}")
    config = case.run
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    architecture, source = read_config(config.actor_rollout_ref.model, assumed.model_config)
    model = measure(architecture, source, config.actor_rollout_ref)
    return Plan(config, settings, model, read_lengths(config, model, settings.prompts), assumed)
