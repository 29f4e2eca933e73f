"""The step of actor and reference: log-probabilities and an update through verl's own workers, at real size."""

import copy
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

import torch
from omegaconf import open_dict

from verl_vision_r1.cpu import stand_ins
from verl_vision_r1.preflight.doctor.check import SkippedError
from verl_vision_r1.preflight.estimate.figure import in_bytes
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.training import RESERVE
from verl_vision_r1.preflight.rehearse.fake_device import FakeDevice
from verl_vision_r1.preflight.rehearse.memory import Memory, total
from verl_vision_r1.preflight.rehearse.step import Spec, Step, main, plan_of

UNREHEARSED: Final = {
    "megatron": "Megatron-Core has no CPU path: the memory and shapes of its training step are not rehearsed",
    "fsdp": "FSDP1 rejects weights on a CPU; rehearse with vision_r1/engine=fsdp2, which shards alike",
}
"""verl's engines that have no CPU path."""
UPDATE: Final = "update"
OPTIMIZER: Final = "optimizer step"


def take(spec: Spec) -> Step:
    """Take one step of training on rank 0 of the run's fake ranks.

    Args:
        spec: The run.

    Returns:
        The peak of each phase against the memory of a GPU; the figures are bytes by phase and kind.

    Raises:
        SkippedError: The engine has no CPU path.
    """
    stand_ins.install(kernels=spec.kernels)  # Before verl and transformers look for flash-attn.
    plan = plan_of(spec)
    if plan.actor.strategy in UNREHEARSED:
        raise SkippedError(UNREHEARSED[plan.actor.strategy])
    rehearsal = Rehearsal(plan, spec)
    with rehearsal.watched():
        rehearsal.build()
        rehearsal.log_probabilities()
        rehearsal.update()
        if spec.sent:
            spec.sent.write_text(json.dumps(list(rehearsal.sent())), encoding="utf-8")
    return verdict(rehearsal, plan)


class Rehearsal:
    """One step of training on a fake GPU.

    Attributes:
        memory: What is on the GPU.
        micro_batches: The micro-batches of the last pass.
    """

    def __init__(self, plan: Plan, spec: Spec) -> None:
        from verl_vision_r1.preflight.rehearse import workers

        self.memory = Memory()
        self.micro_batches = workers.MicroBatches(self.memory)
        self._device = FakeDevice(self.memory)
        self._workers = workers
        self._plan = plan
        self._config = copy.deepcopy(plan.config.actor_rollout_ref)
        with open_dict(self._config):
            self._config.model.path = str(spec.folder)
            self._config.model.load_tokenizer = spec.has_tokenizer
        workers.start_ranks(plan.gpus)

    def watched(self) -> Any:
        """The context in which the memory learns what verl does."""
        return self._workers.watched(self.memory)

    def build(self) -> None:
        """Build the models and the state of the optimizer, which is there from the first step on."""
        say("models")
        self._actor = self._workers.make_worker(copy.deepcopy(self._config), "actor", self._device)
        if self._plan.reference and not self._plan.adapters:
            self._reference = self._workers.make_worker(copy.deepcopy(self._config), "ref", self._device)
        engine = self._engine = self._actor.actor.engine
        if self._plan.config.trainer.device != "cpu":
            self._workers.update_as_on_cuda(engine.optimizer)
        with self._device, engine.train_mode():
            for parameter in engine.module.parameters():
                parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
            engine.optimizer_step()
            self.memory.mark(self._workers.moments(engine.optimizer), "moments")  # Offloaded as the mode ends.

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
        say(name)
        total_rollouts = self._plan.completions
        batch = self._batch(total_rollouts, {"calculate_entropy": False, "compute_loss": False, **options})
        with self._device, self.micro_batches.of(engine, batch), self.memory.phase(name):
            compute(batch)

    def update(self) -> None:
        """An update of the policy: forward and backward passes, clipping, the optimizer's step."""
        say(UPDATE)
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
        from verl_vision_r1.preflight.rehearse.batch import longest, make_batch

        data, ranks = self._plan.config.data, self._engine.get_data_parallel_size()
        limits = int(data.max_prompt_length), int(data.max_response_length)
        chosen = longest(self._plan.lengths, -(-rollouts // ranks), *limits)
        options = {"temperature": float(self._plan.rollout.temperature), **options}
        with self._device:
            return make_batch(chosen, self._engine.model_config.hf_config, options)

    def sent(self) -> Iterator[tuple[str, list[int], str]]:
        """Name, shape and dtype of each weight that the actor sends to the rollout engine."""
        say("weights that are sent")
        with self._device:
            weights, _ = self._engine.get_per_tensor_param(base_sync_done=self._plan.adapters)
            for name, weight in weights:
                yield name, list(weight.shape), str(weight.dtype).removeprefix("torch.")


def verdict(rehearsal: Rehearsal, plan: Plan) -> Step:
    """Hold the peaks against the memory of a GPU."""
    peaks = rehearsal.memory.peaks
    worst = max(peaks, key=lambda name: total(peaks[name]))
    need, limit = total(peaks[worst]) + RESERVE, plan.assumed.memory * 2**30
    found = f"{in_bytes(need)} at the peak, in the {worst}; " + _kinds(peaks[worst])
    figures = {f"{name}: {kind}": float(size) for name, peak in peaks.items() for kind, size in peak.items() if size}
    figures |= {"tokens per pass": float(max(rehearsal.micro_batches.tokens)), "reserve": float(RESERVE)}
    figures |= {"micro-batches": float(len(rehearsal.micro_batches.tokens))}
    return Step(need <= limit, found, f"{in_bytes(limit)} of a GPU, {in_bytes(RESERVE)} reserved", figures=figures)


def _kinds(peak: Any) -> str:
    named = sorted(((size, kind) for kind, size in peak.items() if size and kind != "host"), reverse=True)
    return ", ".join(f"{kind} {in_bytes(size)}" for size, kind in named)


def say(what: str) -> None:
    """Report progress."""
    print(f"training: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(take))
