"""Images of a validation in the loggers: drawn, the same prompts each time, read back from their files."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from run_on_disk import CURRICULUM, Run, boxes_text

from verl_vision_r1.evaluation.presentation.style import OUTCOME_COLOURS
from verl_vision_r1.report.image_log import NAME, Overlay, log_images, overlays
from verl_vision_r1.rewards.presets import read_preset
from verl_vision_r1.settings import Settings
from verl_vision_r1.targets import Target

TARGET = Target([[100, 60, 300, 240]], ["cat"], width=400, height=300)
CONFIG = {"frame": "auto", "prompt": {}, "reward": read_preset("vision_r1"), "curriculum": CURRICULUM}


def entries(tmp_path: Path, count: int = 5, image: str = "") -> list[dict[str, Any]]:
    run = Run(tmp_path)
    for number in range(count):
        path = image if image else run.image(str(number), "navy")
        text = boxes_text(((100, 60, 300, 240), "cat"))
        run.add([text], TARGET, image=path, image_id=str(number), kind="validation", step=3)
    return run.lines["validation", 3]


def settings(count: int = 2) -> Settings:
    return Settings.from_config({**CONFIG, "log_images": count})


def test_the_boxes_are_drawn(tmp_path: Path) -> None:
    (overlay,) = overlays(entries(tmp_path, 1), 2, settings(), [])
    assert overlay.caption == "0, reward 3.00"
    pixels = np.asarray(overlay.picture.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    inside, edge = pixels[int(0.9 * height), int(0.1 * width)], pixels[height // 2, round(width * 100 / 400)]
    assert np.abs(inside - (0, 0, 128)).max() < 30
    assert np.abs(edge - (0, 0, 128)).max() > 60


def test_the_same_prompts_each_time(tmp_path: Path) -> None:
    lines = entries(tmp_path)
    chosen = [overlay.caption for overlay in overlays(lines, 3, settings(), [])]
    assert len(chosen) == 3
    assert [overlay.caption for overlay in overlays(lines[::-1], 3, settings(), [])] == chosen


def test_a_missing_image_and_a_faulty_function_do_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = entries(tmp_path, 2, image=str(tmp_path / "gone.png"))
    assert len(overlays(lines, 2, settings(), [])) == 2

    def fail(*args: Any) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("verl_vision_r1.report.image_log.explain", fail)
    assert overlays(lines, 2, settings(), []) == []
    assert "planted" in caplog.text


def test_counts_and_classes_have_no_boxes_to_draw(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.add(["3"], TARGET, image=run.image("a"), kind="validation", step=3)
    line = {**run.lines["validation", 3][0], "gts": Target([], [], 400, 300, task="counting", count=3).to_json()}
    assert overlays([line], 2, settings(), []) == []


def test_a_file_of_tensorboard_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="no TensorBoard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    picture = Image.new("RGB", (40, 30), OUTCOME_COLOURS["found"])
    adapter = type("Adapter", (), {"writer": SummaryWriter(str(tmp_path))})()
    log_images({"tensorboard": adapter, "console": None}, [Overlay(picture, "0: cat")], 7)
    adapter.writer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    (image,) = events.Images(f"{NAME}/1")
    decoded = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
    assert (image.step, decoded.shape) == (7, (30, 40, 3))
    assert (decoded == np.asarray(picture)).all()


@pytest.mark.process
def test_a_folder_of_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="no wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run = wandb.init(project="boxes", dir=str(tmp_path))
    try:
        log_images({"wandb": wandb}, [Overlay(Image.new("RGB", (40, 30), "red"), "0: cat")], 0)
        wandb.log({"val/score": 1.0}, step=0)
    finally:
        run.finish()
    (picture,) = tmp_path.rglob("media/images/val/*.png")
    assert Image.open(picture).size == (40, 30)
    assert Image.open(picture).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("value", [-1, True, 1.5, "2"])
def test_a_wrong_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"vision_r1\.log_images: expected a number of images"):
        Settings.from_config({**CONFIG, "log_images": value})


@pytest.mark.verl
@pytest.mark.parametrize("count", [0, 2])
def test_the_trainer_logs_validations_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from verl_vision_r1.report import image_log
    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    logged: list[tuple[int, int]] = []
    monkeypatch.setattr(image_log, "log_images", lambda loggers, images, step: logged.append((len(images), step)))
    monkeypatch.setattr(PPOTrainerSync, "_dump_generations", lambda self, *args: None)
    monkeypatch.setattr("verl_vision_r1.training.trainer.write_run_file", lambda path, config: None)
    made = object.__new__(VisionR1TrainerSync)
    trainer = {"validation_data_dir": "val", "rollout_data_dir": "train"}
    values = {"vision_r1": json.loads(json.dumps({**CONFIG, "log_images": count})), "trainer": trainer}
    made.config = OmegaConf.create({**values, "data": {"val_files": "val.parquet"}})
    made.extras_by_key, made.global_steps, made.logger = {}, 3, type("Tracking", (), {"logger": {}})()
    lines = entries(tmp_path)
    columns = {key: [line[key] for line in lines] for key in lines[0]}
    texts = (columns.pop("input"), ["as verl decodes it"] * len(lines), columns.pop("gts"), columns.pop("score"))
    for folder in ("train", "val"):
        made._dump_generations(*texts, columns, folder)
    assert logged == ([(2, 3)] if count else [])


@pytest.mark.verl
def test_a_rollout_file_has_the_values_of_every_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the first one alone: an agent loop may add some to a few."""
    pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from verl_vision_r1.training.trainer import VisionR1TrainerSync

    written: list[Any] = []
    monkeypatch.setattr(PPOTrainerSync, "_dump_generations", lambda self, *args: written.append(args[4]))
    monkeypatch.setattr("verl_vision_r1.training.trainer.write_run_file", lambda path, config: None)
    made = object.__new__(VisionR1TrainerSync)
    made.config = OmegaConf.create({"vision_r1": {}, "trainer": {"validation_data_dir": "val"}})
    made.extras_by_key = {"a": {"total": 1.0}, "b": {"total": 2.0, "box_log_probs": "[]"}}
    made._dump_generations([], [], [], [], {"uid": ["a", "b"]}, "train")
    assert written == [{"uid": ["a", "b"], "total": [1.0, 2.0], "box_log_probs": [None, "[]"]}]
