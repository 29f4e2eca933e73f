"""Rank 0 of a run's fake ranks: one step of training on a fake GPU, through verl's own workers."""

import copy
import sys
from collections.abc import Iterator
from typing import Any, Final

import torch
from omegaconf import open_dict

from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.rehearse import workers
from verl_vision_r1.preflight.rehearse.batch import longest, make_batch
from verl_vision_r1.preflight.rehearse.fake_device import FakeDevice
from verl_vision_r1.preflight.rehearse.memory import Memory
from verl_vision_r1.preflight.rehearse.micro_batches import MicroBatches
from verl_vision_r1.preflight.rehearse.step import Spec

UPDATE: Final = "update"
OPTIMIZER: Final = "optimizer step"


class Rank:
    """A step of training, phase by phase.

    Attributes:
        phase: The phase that has begun.
        memory: What is on the GPU.
        micro_batches: The micro-batches of the last pass.
    """

    def __init__(self, plan: Plan, spec: Spec) -> None:
        self.phase = ""
        self.memory = Memory()
        self.micro_batches = MicroBatches(self.memory)
        self._device = FakeDevice(self.memory)
        self._plan = plan
        self._config = copy.deepcopy(plan.config.actor_rollout_ref)
        with open_dict(self._config):
            self._config.model.path = str(spec.folder)
            self._config.model.load_tokenizer = spec.has_tokenizer
            # The others need packages for GPUs. Nothing is transferred here.
            self._config.rollout.checkpoint_engine.backend = "naive"
        workers.start_ranks(plan.gpus)

    def watched(self) -> Any:
        """The context in which the memory learns what verl does."""
        return workers.watched(self.memory)

    def build(self) -> None:
        """Build the models and the state of the optimizer, which is there from the first step on."""
        self._begin("building the models")
        self._actor = workers.make_worker(copy.deepcopy(self._config), "actor", self._device)
        if self._plan.reference and not self._plan.adapters:
            self._reference = workers.make_worker(copy.deepcopy(self._config), "ref", self._device)
        engine = self._engine = self._actor.actor.engine
        if self._plan.config.trainer.device != "cpu":
            workers.update_as_on_cuda(engine.optimizer)
        with self._device, engine.train_mode():
            for parameter in engine.module.parameters():
                parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
            engine.optimizer_step()
            self.memory.mark(workers.moments(engine.optimizer), "moments")  # Offloaded as the mode ends.

    def log_probabilities(self) -> None:
        """The passes without gradients: old log-probabilities, and those of the reference model."""
        if self._plan.old_probabilities:
            self._infer("old log-probabilities", self._actor.compute_log_prob, self._engine, calculate_entropy=True)
        if self._plan.reference and self._plan.adapters:
            self._infer("reference", self._actor.compute_log_prob, self._engine, no_lora_adapter=True)
        elif self._plan.reference:
            engine = self._reference.ref.engine
            self._infer("reference", self._reference.compute_ref_log_prob, engine)

    def _infer(self, name: str, compute: Any, engine: Any, **options: Any) -> None:
        self._begin(name)
        options = {"calculate_entropy": False, "compute_loss": False, **options}
        batch = self._batch(self._plan.completions, options)
        with self._device, self.micro_batches.of(engine, batch), self.memory.phase(name):
            compute(batch)

    def update(self) -> None:
        """An update of the policy: forward and backward passes, clipping, the optimizer's step."""
        self._begin(UPDATE)
        actor, rollouts = self._plan.actor, int(self._plan.actor.ppo_mini_batch_size * self._plan.rollout.n)
        options = {
            "calculate_entropy": bool(actor.calculate_entropy or actor.entropy_coeff),
            "distillation_use_topk": False,
            "distillation_only": False,
            "global_batch_size": rollouts,
            "mini_batch_size": rollouts,
            "epochs": 1,
            "seed": actor.data_loader_seed,
            "dataloader_kwargs": {"shuffle": actor.shuffle},
        }
        step = self._engine.optimizer_step
        self._engine.optimizer_step = lambda: self._step(step)
        batch = self._batch(rollouts, options)
        with self._device, self.micro_batches.of(self._engine, batch), self.memory.phase(UPDATE):
            self._actor.update_actor(batch)

    def _step(self, step: Any) -> Any:
        with self.memory.phase(OPTIMIZER):
            return step()

    def _batch(self, rollouts: int, options: dict[str, Any]) -> Any:
        """This rank's part of the longest rollouts."""
        data, ranks = self._plan.config.data, self._engine.get_data_parallel_size()
        limits = int(data.max_prompt_length), int(data.max_response_length)
        chosen = longest(self._plan.lengths, -(-rollouts // ranks), *limits)
        options = {"temperature": float(self._plan.rollout.temperature), **options}
        with self._device:
            return make_batch(chosen, self._engine.model_config.hf_config, options)

    def sent(self) -> Iterator[tuple[str, list[int], str]]:
        """Name, shape and dtype of each weight that the actor sends to the rollout engine."""
        self._begin("sending the weights")
        with self._device:
            weights, _ = self._engine.get_per_tensor_param(base_sync_done=self._plan.adapters)
            for name, weight in weights:
                yield name, list(weight.shape), str(weight.dtype).removeprefix("torch.")

    def _begin(self, phase: str) -> None:
        self.phase = phase
        print(f"training: {phase}", file=sys.stderr, flush=True)
