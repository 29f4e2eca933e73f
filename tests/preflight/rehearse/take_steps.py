"""Take one step of a rehearsal for several runs in one process: importing vLLM takes longer than the steps.

As a script, `take_steps.py STEP CASES.json` writes the results to `RESULTS.json` beside the cases.
"""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_vision_r1.preflight.rehearse.step import Step, attempt, read_spec

MARK = "VISION_R1_TEST_OF_REHEARSAL"
"""Set in the environment of all processes of a step."""


def take_steps(step: str, cases: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Step]:
    """The results of a step, by the name of the case; no process outlives it."""
    path = folder / "cases.json"
    path.write_text(json.dumps(cases))
    mark = uuid.uuid4().hex
    environment = {**os.environ, "VERL_PLATFORM": "cpu", MARK: mark}
    done = subprocess.run(
        [sys.executable, __file__, step, path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not left_over(mark)
    return {name: Step(**found) for name, found in json.loads((folder / "RESULTS.json").read_text()).items()}


def left_over(mark: str) -> list[str]:
    """Processes of a step that still run."""
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
        text.layer_types = text.layer_types[:layers]
    config.save_pretrained(folder)
    return folder


def main(step: str, cases: Path) -> None:
    """Take the step for all cases."""
    module = importlib.import_module(f"verl_vision_r1.preflight.rehearse.{step}")
    found = {}
    for name, case in json.loads(cases.read_text()).items():
        spec = cases.with_name("spec.json")
        spec.write_text(json.dumps({"sent": None, "result": "unused", **case}))
        found[name] = dataclasses.asdict(attempt(module.take, read_spec(spec)))
    cases.with_name("RESULTS.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
