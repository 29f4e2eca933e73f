"""Supervised training by verl's own trainer, GRPO from its checkpoint, an evaluation: the script of the examples."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from runs import follow
from safetensors.torch import load_file

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import write_shapes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[2] / "examples" / "sft_then_grpo.sh"
SFT, GRPO = 8, 2
"""Steps."""


def test_supervised_training_then_grpo_then_an_evaluation(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    for part, images in (("train", 128), ("val", 16)):
        write_shapes(source, part, images, seed=3)
    log = run(tmp_path, str(source), str(TAUGHT_MODEL), str(out), str(SFT), str(GRPO))
    losses = [float(loss) for loss in re.findall(r"train/loss:([\d.]+)", log)]
    assert len(losses) == SFT
    (held_out,) = (float(loss) for loss in re.findall(r"val/loss:([\d.]+)", log))
    assert held_out < losses[0] - 0.2  # The model has learnt to name the first object only; the answers name all.
    start = out / "sft" / f"global_step_{SFT}" / "huggingface"
    before, after = (load_file(folder / "model.safetensors") for folder in (TAUGHT_MODEL, start))
    assert before.keys() == after.keys()
    assert any((before[name].float() - after[name].float()).abs().max() > 1e-4 for name in before)
    assert (out / "grpo" / f"global_step_{GRPO}").is_dir()
    results = json.loads((out / "evaluation" / "results.json").read_text(encoding="utf-8"))
    assert results


def run(folder: Path, *arguments: str) -> str:
    """Run the script, and return its output."""
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "RAY_TMPDIR": ray_folder}
        done = follow(["bash", str(SCRIPT), *arguments], environment, folder, lambda line: None)
    assert done.status == 0, done.log[-5000:]
    return done.log
