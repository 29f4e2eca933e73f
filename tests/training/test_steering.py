"""The stage of a curriculum that waits: observed in the step, saved before the checkpoint, passed on."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from verl_vision_r1 import load_curriculum
from verl_vision_r1.rewards.readiness import Readiness

pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl


def trainer(folder: Path, curriculum: str = "when_ready") -> Any:
    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    made = object.__new__(VisionR1TrainerSync)
    made.config = OmegaConf.create({"trainer": {"default_local_dir": str(folder), "resume_mode": "auto"}})
    made.readiness = Readiness(load_curriculum(curriculum), total_steps=100)
    made.readiness.recent = [0.9] * 9
    made.global_steps = 10
    made.extras_of_the_step = []
    return made


def test_a_step_counts_before_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from verl_vision_r1.training.steering import STATE

    made = trainer(tmp_path)
    extras = [{"mean_iou": 0.6, "matched_boxes": 1.0}, {"mean_iou": 0.0, "matched_boxes": 9.0}]
    monkeypatch.setattr(
        PPOTrainerSync, "step", lambda self, metrics, timing: self.see(extras, [{}, {"is_padding": 1}])
    )
    monkeypatch.setattr(type(made), "_expect_reward_workers", lambda self, cause: None)
    seen: list[bool] = []
    state = tmp_path / "global_step_10" / STATE
    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", lambda self: seen.append(state.is_file()))
    metrics: dict[str, Any] = {}
    made.step(metrics, {})
    made._save_checkpoint()
    assert seen == [True]  # Before verl names the checkpoint as the latest.
    assert metrics["critic/vision_r1/curriculum/mean_iou"] == pytest.approx(0.87)  # Padding does not count.
    assert json.loads(state.read_text())["reached"] == 1


def test_a_resumed_trainer_has_the_stage_of_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from verl_vision_r1.training.steering import STATE

    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", lambda self: None)
    folder = tmp_path / "global_step_10"
    folder.mkdir()
    (folder / STATE).write_text('{"reached": 1, "recent": [0.5]}')
    made = trainer(tmp_path)
    made._load_checkpoint()
    assert (made.readiness.reached, made.readiness.recent) == (1, [0.5])
    elsewhere = trainer(tmp_path / "elsewhere")
    elsewhere.config.trainer.update({"resume_mode": "resume_path", "resume_from_path": str(folder)})
    elsewhere._load_checkpoint()
    assert elsewhere.readiness.reached == 1


def test_a_checkpoint_without_a_stage_begins_with_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from verl_vision_r1.training.steering import load_state

    readiness = Readiness(load_curriculum("when_ready"), total_steps=100)
    load_state(tmp_path / "gone.json", readiness)
    assert readiness.reached == 0
    assert "gone.json does not exist: the curriculum starts at its first stage" in capsys.readouterr().out
    (tmp_path / "wrong.json").write_text("[]")
    with pytest.raises(ValueError, match=r"wrong\.json: expected the keys reached and recent"):
        load_state(tmp_path / "wrong.json", readiness)


def test_a_curriculum_by_the_clock_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", lambda self: None)
    trainer(tmp_path, "halfway")._save_checkpoint()
    assert not list(tmp_path.iterdir())


def test_the_stage_travels_with_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
    from verl.utils import tensordict_utils

    from verl_vision_r1.training.agent_loop import VisionR1AgentLoopManager

    sent: list[Any] = []
    monkeypatch.setattr(AgentLoopManagerTQ, "generate_sequences", lambda self, prompts: sent.append(prompts))
    manager = object.__new__(VisionR1AgentLoopManager)
    for reached in (None, 1):
        if reached is not None:
            manager.readiness = SimpleNamespace(reached=reached)  # type: ignore[assignment]
        manager.generate_sequences(tensordict_utils.get_tensordict({"uid": ["a", "b"]}))
    assert [prompts["stage_reached"] for prompts in sent] == [0, 1]


def test_another_agent_loop_manager_is_an_error_for_a_curriculum_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    monkeypatch.setattr(PPOTrainerSync, "fit", lambda self, manager: None)
    trainer(tmp_path, "halfway").fit(SimpleNamespace())
    with pytest.raises(ValueError, match=r"agent\.agent_loop_manager_class: expected VisionR1AgentLoopManager"):
        trainer(tmp_path).fit(SimpleNamespace())
