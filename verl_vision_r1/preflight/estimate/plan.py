"""The input of an estimate: the run, its model, the lengths of its prompts, and the user's assumptions."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_vision_r1.families import expect_sized
from verl_vision_r1.preflight.estimate.gpus import Gpu, gpu_named
from verl_vision_r1.preflight.estimate.model import Model, measure, read_config
from verl_vision_r1.preflight.estimate.samples import Lengths, read_lengths
from verl_vision_r1.settings import Settings


@dataclass(frozen=True)
class Assumptions:
    """Assumptions that are not in the configuration of the run.

    Attributes:
        gpu: The name of a GPU in `GPUS`.
        gpu_memory: Memory of one GPU in GiB, greater than 0; by default that of `gpu`.
        mfu: Model FLOPs utilization of the update, as verl logs it in `perf/mfu/actor`; in (0, 1].
        response_tokens: Mean tokens per completion, at least 1; None for `data.max_response_length`.
        model_config: A `config.json` used instead of the model's own.

    Raises:
        ValueError: A value is out of range.
    """

    gpu_memory: float | None = None
    gpu: str = "h100"
    mfu: float = 0.3
    response_tokens: int | None = None
    model_config: Path | None = None

    def __post_init__(self) -> None:
        gpu_named(self.gpu)
        if self.gpu_memory is not None and not self.gpu_memory > 0:
            raise ValueError(f"--gpu-memory: expected GiB greater than 0, got {self.gpu_memory}")
        if not 0 < self.mfu <= 1:
            raise ValueError(f"--mfu: expected a fraction in (0, 1], got {self.mfu}")
        if self.response_tokens is not None and self.response_tokens < 1:
            raise ValueError(f"--response-tokens: expected at least 1, got {self.response_tokens}")

    @property
    def kind(self) -> Gpu:
        """The GPU."""
        return gpu_named(self.gpu)

    @property
    def memory(self) -> float:
        """Memory of one GPU in GiB."""
        return self.gpu_memory or self.kind.memory


@dataclass(frozen=True)
class Plan:
    """The run to estimate.

    Attributes:
        config: Its configuration, as verl composes it.
        settings: The key `vision_r1` of the configuration.
        model: Its model.
        lengths: The lengths of its prompts.
        assumed: The user's assumptions.
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
        """Number of training GPUs."""
        return int(self.config.trainer.n_gpus_per_node * self.config.trainer.nnodes)

    @property
    def separate(self) -> bool:
        """Whether generation has GPUs of its own."""
        return str(self.config.trainer.v1.trainer_mode).endswith("separate_async")

    @property
    def generating_gpus(self) -> int:
        """Number of GPUs that generate."""
        return int(self.rollout.nnodes * self.rollout.n_gpus_per_node) if self.separate else self.gpus

    @property
    def completions(self) -> int:
        """Completions per step."""
        return int(self.config.data.train_batch_size * self.rollout.n)

    @property
    def reference(self) -> bool:
        """Whether log-probabilities of a reference model are computed."""
        return bool(self.actor.use_kl_loss or self.config.algorithm.use_kl_in_reward)

    @property
    def adapters(self) -> bool:
        """Whether LoRA adapters are trained; the reference is then the model without them."""
        return int(self.config.actor_rollout_ref.model.get("lora_rank") or 0) > 0

    @property
    def old_probabilities(self) -> bool:
        """Whether verl recomputes the log-probabilities of the completions before the update."""
        correction = self.config.algorithm.get("rollout_correction") or {}
        return not correction.get("bypass_mode", False)

    @property
    def longest(self) -> int:
        """Maximum tokens of prompt and completion together."""
        return int(self.config.data.max_prompt_length + self.config.data.max_response_length)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the median prompt."""
        return self.lengths.typical(int(self.config.data.max_prompt_length))

    @property
    def response_tokens(self) -> int:
        """Assumed tokens per completion."""
        return self.assumed.response_tokens or int(self.config.data.max_response_length)

    @property
    def image_tokens(self) -> int:
        """Median of the image tokens per prompt."""
        return int(sorted(self.lengths.images)[len(self.lengths.images) // 2])

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps per epoch, without an incomplete last batch; None if the samples are not on this machine."""
        samples = self.lengths.kept(int(self.config.data.max_prompt_length))
        limit = int(self.config.data.get("train_max_samples", -1))
        if samples is not None and limit > 0:
            samples = min(samples, limit)
        return None if samples is None else int(samples // self.config.data.train_batch_size)

    @functools.cached_property
    def total_steps(self) -> int | None:
        """Steps of the run, as verl counts them; 0 if it only validates, None if unknown."""
        if self.config.trainer.get("val_only"):
            return 0
        if self.config.trainer.total_training_steps is not None:
            return int(self.config.trainer.total_training_steps)
        steps = self.steps_per_epoch
        return None if steps is None else int(steps * self.config.trainer.total_epochs)

    @property
    def replicas(self) -> int:
        """Number of rollout engines."""
        return max(self.generating_gpus // (self.tensor_parallel * int(self.rollout.pipeline_model_parallel_size)), 1)

    @property
    def tensor_parallel(self) -> int:
        """Tensor-parallel size of a rollout engine."""
        return int(self.rollout.tensor_model_parallel_size)

    @property
    def completions_per_gpu(self) -> int:
        """Maximum number of completions of one mini-batch on one GPU."""
        return math.ceil(int(self.actor.ppo_mini_batch_size * self.rollout.n) / self.gpus)


def make_plan(overrides: Sequence[str], assumed: Assumptions) -> Plan:
    """Compose a run, build its model and measure its prompts.

    Args:
        overrides: The run as on verl's command line, `+recipe=NAME KEY=VALUE ...`.
        assumed: The user's assumptions.

    Raises:
        ValueError: The run does not compose, its rewards or samples are invalid, or its model is not found.
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
    expect_sized(architecture.model_type)
    model = measure(architecture, source, config.actor_rollout_ref)
    return Plan(config, settings, model, read_lengths(config, model, settings.prompts), assumed)
