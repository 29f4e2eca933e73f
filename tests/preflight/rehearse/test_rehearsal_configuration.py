"""The first steps: the run composes and passes its checks, and its model is one that verl trains with images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig

from verl_vision_r1.preflight.rehearse.configuration import prepare
from verl_vision_r1.preflight.rehearse.step import Step

pytestmark = pytest.mark.verl

RECIPE = "+recipe=vision_r1_qwen7b"
PATH = "actor_rollout_ref.model.path"


def prepared(folder: Path, *overrides: str, model_config: Path | None = None) -> dict[str, Step]:
    return prepare([RECIPE, *overrides], model_config, folder / "written")


def test_the_published_sizes_of_a_recipe_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = prepared(tmp_path)
    assert steps["configuration"] == Step(True, "1 x 8 GPUs, samples are not on this machine")
    assert steps["model"].ok
    assert steps["model"].found.startswith("qwen2_5_vl, ")
    written = json.loads((tmp_path / "written" / "config.json").read_text())
    assert written["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]
    assert written["text_config"]["num_hidden_layers"] == 28
    assert capsys.readouterr().out == ""


@pytest.mark.process
def test_adapters_are_checked_where_only_vllms_cpu_build_is_installed(tmp_path: Path) -> None:
    """A process without VERL_PLATFORM=cpu, in which verl finds no version of vLLM."""
    command = "from verl_vision_r1.preflight.rehearse.configuration import prepare; import pathlib, sys;"
    command += "steps = prepare(['+recipe=vision_r1_qwen3b_lora_24gb'], None, pathlib.Path(sys.argv[1]));"
    command += "print(steps['configuration'])"
    environment = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"}
    given = [sys.executable, "-W", "ignore", "-c", command, str(tmp_path / "written")]
    done = subprocess.run(given, env=environment, capture_output=True, text=True, check=True)
    assert "Step(ok=True, found='1 x 1 GPU, samples are not on this machine'" in done.stdout


def test_the_samples_are_checked_where_they_are(folder: Path, tmp_path: Path) -> None:
    files = [f"data.{kind}_files={folder / f'{kind}.parquet'}" for kind in ("train", "val")]
    small = ["data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8"]
    assert prepared(tmp_path, *files, *small)["configuration"].found == "1 x 8 GPUs, 12 samples are valid"
    too_few = prepared(tmp_path, *files, "data.train_batch_size=64")["configuration"]
    assert too_few.ok is False
    assert "data.train_batch_size" in too_few.found


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("trainer.no_such_key=1", "no_such_key"),
        ("actor_rollout_ref.rollout.max_model_len=1024", "max_model_len: expected at least 1536"),
        ("actor_rollout_ref.rollout.tensor_model_parallel_size=3", "expected a multiple of 3, the GPUs of a rollout"),
        ("trainer.use_v1=false", "trainer.use_v1: expected True, got False"),
        ("vision_r1.reward.tasks.detection.matcher=nearest", "nearest"),
        ("actor_rollout_ref.actor.use_dynamic_bsz=false", "ppo_micro_batch_size_per_gpu"),
    ],
)
def test_a_faulty_configuration_is_named(tmp_path: Path, override: str, found: str) -> None:
    steps = prepared(tmp_path, override)
    assert list(steps) == ["configuration"]
    assert steps["configuration"].ok is False
    assert found in steps["configuration"].found


def test_a_config_file_takes_the_place_of_the_models_own(tmp_path: Path, short_model: Path) -> None:
    steps = prepared(tmp_path, model_config=short_model / "config.json")
    assert steps["model"].ok
    assert json.loads((tmp_path / "written" / "config.json").read_text())["text_config"]["num_hidden_layers"] == 1


def test_files_of_a_model_folder_are_copied_without_its_weights(folder: Path, tmp_path: Path) -> None:
    assert list((folder / "model").glob("*.safetensors"))
    steps = prepared(tmp_path, f"{PATH}={folder / 'model'}")
    assert steps["model"].ok, steps["model"]
    written = {path.name for path in (tmp_path / "written").iterdir()}
    assert {"config.json", "tokenizer_config.json", "processor_config.json"} <= written
    assert not {name for name in written if name.endswith(".safetensors")}


def test_a_model_folder_without_a_processor_is_named(short_model: Path, tmp_path: Path) -> None:
    steps = prepared(tmp_path, f"{PATH}={short_model}")
    assert steps["configuration"].ok
    assert steps["model"].ok is False
    assert steps["model"].found == (
        f"{PATH}: expected a folder with the model's processor, got {short_model} without preprocessor_config.json;"
        " copy the files of the model's tokenizer and processor into it"
    )


@pytest.mark.parametrize("family", ["llava", "gemma3"])
def test_a_family_that_verl_does_not_train_is_named(tmp_path: Path, family: str) -> None:
    AutoConfig.for_model(family).save_pretrained(tmp_path / "other")
    steps = prepared(tmp_path, f"{PATH}={tmp_path / 'other'}")
    assert steps["model"].ok is False
    assert f"{PATH}: expected a family that verl 0.9 trains with images" in steps["model"].found
    assert f"got {family} (" in steps["model"].found


def test_a_family_whose_batches_are_not_known_is_named(tmp_path: Path) -> None:
    AutoConfig.for_model("gemma4").save_pretrained(tmp_path / "other")
    found = prepared(tmp_path, f"{PATH}={tmp_path / 'other'}")["model"]
    assert found.ok is False
    assert "expected a family whose training step can be estimated and rehearsed (qwen2_vl, " in found.found
    assert "got gemma4; try the run itself with trainer.total_training_steps=1" in found.found


def test_a_model_without_a_vision_tower_is_named(tmp_path: Path) -> None:
    AutoConfig.for_model("qwen2").save_pretrained(tmp_path / "text")
    steps = prepared(tmp_path, f"{PATH}={tmp_path / 'text'}")
    assert steps["model"] == Step(False, f"{tmp_path / 'text'}: expected a vision-language model, got qwen2")


def test_a_model_that_is_not_known_is_named(tmp_path: Path) -> None:
    steps = prepared(tmp_path, f"{PATH}=nobody/no-such-model")
    assert steps["model"].ok is False
    assert f"{PATH}: expected a folder, a model in the hub's cache, or one of" in steps["model"].found
