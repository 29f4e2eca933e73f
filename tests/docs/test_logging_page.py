"""The page on logging: what it says of verl's loggers is what they do."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "logging.md").read_text(encoding="utf-8")
SAMPLES = [("find the cat", "[]", 1.0), ("find the dog", "[{}]", 0.5)]

pytestmark = pytest.mark.verl


def texts(folder: Path) -> dict[str, str]:
    """The texts of TensorBoard files, by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: events.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}


def log_completions(loggers: list[str], step: int = 20) -> Any:
    from verl.utils.tracking import ValidationGenerationsLogger

    logger = ValidationGenerationsLogger(project_name="project", experiment_name="experiment")
    logger.log(loggers, SAMPLES, step)
    return logger


def test_the_loggers_are_those_of_verl() -> None:
    from verl.utils.tracking import Tracking

    named = set(re.findall(r"`(\w+)`", PAGE.split("verl 0.9 also has")[1].split(";")[0]))
    assert len(named) == 5
    assert named | {"console", "tensorboard", "wandb"} <= set(Tracking.supported_backend)


@pytest.mark.parametrize("variable", [False, True])
def test_tensorboard_has_the_metrics_and_the_completions(
    variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from verl.utils.tracking import Tracking

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENSORBOARD_DIR", raising=False)
    folder = tmp_path / "tensorboard_log" / "project" / "experiment"
    if variable:
        folder = tmp_path / "named"
        monkeypatch.setenv("TENSORBOARD_DIR", str(folder))
    tracking = Tracking("project", "experiment", ["tensorboard"])
    tracking.log({"critic/score/mean": 0.5}, step=1)
    tracking.finish()
    log_completions(["tensorboard"])
    assert "critic/score/mean" in EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    (text,) = [text for name, text in texts(folder).items() if name.startswith("val/generations")]
    assert all(str(part) in text for sample in SAMPLES for part in sample)


def test_weights_and_biases_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[dict[str, Any], int]] = []

    class Table:
        def __init__(self, columns: list[str], data: list[list[Any]] | None = None) -> None:
            self.columns, self.data = columns, list(data or [])

        def add_data(self, *row: Any) -> None:
            self.data.append(list(row))

    wandb = SimpleNamespace(Table=Table, run=object(), log=lambda data, step: logged.append((data, step)))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log_completions(["wandb"], step=20).log(["wandb"], SAMPLES, 40)
    table = logged[-1][0]["val/generations"]
    assert table.columns[:4] == ["step", "input_1", "output_1", "score_1"]
    assert [row[0] for row in table.data] == [20, 40]


def test_the_console_and_a_file_have_no_completions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log_completions(["console", "file"])
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_a_file_has_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.utils.tracking import Tracking

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VERL_FILE_LOGGER_PATH", raising=False)
    monkeypatch.delenv("VERL_FILE_LOGGER_ROOT", raising=False)
    tracking = Tracking("project", "experiment", ["file"])
    tracking.log({"critic/score/mean": 0.5}, step=1)
    tracking.finish()
    assert "critic/score/mean" in (tmp_path / "project" / "experiment.jsonl").read_text()


def test_each_validation_logs_the_same_prompts() -> None:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    logged: list[list[str]] = []
    logger = SimpleNamespace(log=lambda loggers, samples, step: logged.append([sample[0] for sample in samples]))
    config = SimpleNamespace(trainer=SimpleNamespace(log_val_generations=3, logger=["console"]))
    trainer = SimpleNamespace(config=config, validation_generations_logger=logger, global_steps=0)
    prompts = [f"prompt {number}" for number in range(10)]
    for order in (prompts, prompts[::-1]):
        PPOTrainer._maybe_log_val_generations(trainer, order, ["[]"] * 10, [1.0] * 10)
    assert len(logged[0]) == 3
    assert logged[0] == logged[1]


def test_the_variables_are_those_that_verl_and_wandb_read() -> None:
    import wandb
    from verl.utils import tracking

    read = {value for name, value in vars(wandb.env).items() if name.isupper() and isinstance(value, str)}
    source = Path(str(tracking.__file__)).read_text(encoding="utf-8")
    for name in set(re.findall(r"`(WANDB_[A-Z_]+|TENSORBOARD_DIR|VERL_[A-Z_]+)[=`]", PAGE)):
        assert name in read or f'"{name}"' in source, name
