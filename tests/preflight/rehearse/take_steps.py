"""Steps of a rehearsal for several runs in one process: importing vLLM takes longer than the steps."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from verl_vision_r1.preflight.rehearse.process import Process
from verl_vision_r1.preflight.rehearse.step import Spec, Step

MARK = "VISION_R1_TEST_OF_REHEARSAL"
"""Set in the environment of all processes of a rehearsal."""


def take_steps(specs: Mapping[str, Spec], folder: Path, *paths: Path) -> dict[str, Step]:
    """The results by the name of the case; no process outlives it.

    Further folders are on the module search path of the process.
    """
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        for path in paths:
            patch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)
        with Process(folder / "steps.log") as process:
            found = {name: process.take(spec) for name, spec in specs.items()}
    assert not left_over(mark)
    return found


def left_over(mark: str) -> list[str]:
    """Processes of a rehearsal that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


def write_model(folder: Path, name: str, layers: int = 2) -> Path:
    """A folder with the `config.json` of a published model with fewer layers."""
    from transformers import AutoModelForImageTextToText

    from verl_vision_r1.preflight.estimate.model import read_config

    config, _ = read_config({"path": name})
    config.architectures = [AutoModelForImageTextToText._model_mapping[type(config)].__name__]
    text, vision = config.text_config, config.vision_config
    text.num_hidden_layers, vision.depth = layers, max([layers, *getattr(vision, "deepstack_visual_indexes", ())]) + 1
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[-layers:]  # Qwen3.5 ends with a layer of each kind.
    config.save_pretrained(folder)
    return folder
