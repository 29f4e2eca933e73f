"""Our trainer modes: late registration, verl's name of the mode, and stopping on faults."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl

ASK = """
import sys, verl
print("verl_vision_r1.training.trainer" in sys.modules)
from verl.trainer.ppo.v1 import get_trainer_cls
modes = ("vision_r1_sync", "vision_r1_colocate_async", "vision_r1_separate_async")
print([get_trainer_cls(mode).__mro__[3].__name__ for mode in modes])
"""


@pytest.mark.process
@pytest.mark.engine  # It starts no engine, but verl's imports take long.
def test_verl_finds_our_modes_and_imports_them_lazily() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-3:-1] == [
        "False",
        "['PPOTrainerSync', 'PPOTrainerColocateAsync', 'PPOTrainerSeparateAsync']",
    ]


def trainer(on_error: str = "zero", workers: list[Any] | None = None) -> Any:
    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    made = object.__new__(VisionR1TrainerSync)
    made.config = OmegaConf.create({"vision_r1": {"reward": {"on_error": on_error}}})
    made.global_steps = 7
    made.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=workers)
    return made


def test_verl_sees_its_own_name_of_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainer

    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    seen = []
    monkeypatch.setattr(PPOTrainer, "__init__", lambda self, config: seen.append(config.trainer.v1.trainer_mode))
    VisionR1TrainerSync(OmegaConf.create({"trainer": {"v1": {"trainer_mode": "vision_r1_sync"}}}))
    assert seen == ["sync"]


def test_a_fault_stops_the_run_only_if_configured() -> None:
    trainer("zero")._stop_if_asked({"criterion_failed": 3, "image_unreadable": 0})
    trainer("raise")._stop_if_asked({"criterion_failed": 0, "image_unreadable": 0})
    with pytest.raises(RuntimeError, match=r"on_error=raise: .* got \{'criterion_failed': 3\} in step 7"):
        trainer("raise")._stop_if_asked({"criterion_failed": 3, "image_unreadable": 0})


def test_faults_in_validation_stop_the_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainer

    found = {"val-aux/coco/detection/image_unreadable/mean@1": 0.25, "val-aux/coco/detection/total/mean@1": 1.0}
    monkeypatch.setattr(PPOTrainer, "_validate", lambda self: found)
    assert trainer("zero")._validate() == found
    with pytest.raises(RuntimeError, match=r"got \{'image_unreadable': 1\} in step 7"):
        trainer("raise")._validate()


def test_a_dead_reward_worker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from verl_vision_r1.training import trainer as module

    def get(answer: str) -> None:
        if answer == "dead":
            raise ray.exceptions.RayActorError(error_msg="The actor died\nsomewhere")

    handles = [
        SimpleNamespace(__ray_ready__=SimpleNamespace(remote=lambda state=state: state)) for state in ("alive", "dead")
    ]
    monkeypatch.setattr(module.ray, "wait", lambda answers, **options: (answers, []))
    monkeypatch.setattr(module.ray, "get", get)
    trainer(workers=handles[:1])._expect_reward_workers(None)
    trainer(workers=None)._expect_reward_workers(None)
    with pytest.raises(RuntimeError, match=r"reward_loop_worker_1: expected a living .*, got The actor died$"):
        trainer(workers=handles)._expect_reward_workers(None)


def test_a_step_that_fails_for_another_reason_names_the_dead_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    def fails(self: Any, *arguments: Any) -> None:
        raise AttributeError("a consequence of the worker's death")

    def dead(self: Any, cause: Exception | None) -> None:
        raise RuntimeError("reward_loop_worker_0: expected a living reward worker") from cause

    monkeypatch.setattr(PPOTrainerSync, "step", fails)
    with pytest.raises(AttributeError):
        trainer(workers=None).step({}, {})  # No worker, so none is dead.
    monkeypatch.setattr(VisionR1TrainerSync, "_expect_reward_workers", dead)
    with pytest.raises(RuntimeError, match="expected a living") as raised:
        trainer().step({}, {})
    assert isinstance(raised.value.__cause__, AttributeError)


def with_buffer(monkeypatch: pytest.MonkeyPatch, kwargs: dict[str, Any]) -> Any:
    from verl.trainer.ppo.v1 import PPOTrainer

    monkeypatch.setattr(PPOTrainer, "_build_replay_buffer", lambda self: SimpleNamespace(poll_interval=2.0))
    made = trainer()
    made.config.trainer = {"v1": {"sampler": {"sampler_kwargs": kwargs}}}
    return made._build_replay_buffer()


def test_the_poll_interval_is_configurable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_buffer(monkeypatch, {}).poll_interval == 2.0
    assert with_buffer(monkeypatch, {"poll_interval": 0.1}).poll_interval == 0.1
    for wrong in (0, -1, "fast", True):
        with pytest.raises(ValueError, match=r"sampler_kwargs\.poll_interval: expected a number of seconds > 0, got"):
            with_buffer(monkeypatch, {"poll_interval": wrong})


def test_verl_still_uses_the_attribute_poll_interval() -> None:
    """Without it, our key has no effect."""
    import inspect

    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    assert "self.poll_interval" in inspect.getsource(ReplayBuffer._wait_for_next_poll)
