"""From a checkpoint as verl's FSDP manager writes it to a model folder, without a run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.predict.export import export, find_actor

pytestmark = pytest.mark.verl
FILES = {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json", "generation_config.json"}


def load(folder: Path) -> dict[str, Any]:
    """The weights of a model folder by name, in the type of the file."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    return dict(Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype="auto").state_dict())


def write_checkpoint(folder: Path, state: dict[str, Any], lora: dict[str, Any] | None = None) -> Path:
    """The files of one rank that verl writes for the actor, and the step next to it."""
    import torch

    actor = folder / "global_step_2" / "actor"
    actor.mkdir(parents=True)
    torch.save(state, actor / "model_world_size_1_rank_0.pt")
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
    shutil.copytree(TAUGHT_MODEL, actor / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    if lora:
        (actor / "lora_train_meta.json").write_text(json.dumps(lora))
    (folder / "latest_checkpointed_iteration.txt").write_text("2")
    return actor


def taught() -> Any:
    """The demo's model in bfloat16, as published models are."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    return Qwen2_5_VLForConditionalGeneration.from_pretrained(TAUGHT_MODEL, dtype=torch.bfloat16)


def adapted(model: Any, size: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state of a model with a random adapter of the language model, and its weights with the update in float32."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", exclude_modules=".*visual.*")
    wrapped = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            weight.data = (torch.randn(weight.shape, generator=generator) * size).bfloat16()
    state = {name: tensor.detach().clone() for name, tensor in wrapped.state_dict().items()}
    return state, dict(wrapped.float().merge_and_unload().state_dict())


@pytest.mark.slow
def test_all_weights_are_those_of_the_checkpoint_in_bfloat16(tmp_path: Path) -> None:
    import torch

    model = taught().float()
    state = {name: weight + 1e-3 for name, weight in model.state_dict().items()}
    actor = write_checkpoint(tmp_path / "checkpoints", state)
    exported = export(tmp_path / "checkpoints", tmp_path / "model")
    assert (exported.checkpoint, exported.kept) == (actor, None)
    assert {path.name for path in (tmp_path / "model").iterdir()} >= FILES
    for name, weight in load(tmp_path / "model").items():
        assert torch.equal(weight, state[name].bfloat16()), name
    assert not list(tmp_path.glob(".unfinished-*"))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "size", "least", "most"), [("float32", 0.1, 1, 1), ("bfloat16", 0.1, 0.99, 1.01)])
def test_the_adapter_is_merged(tmp_path: Path, dtype: str, size: float, least: float, most: float) -> None:
    import torch

    model = taught()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state, expected = adapted(model, size)
    write_checkpoint(tmp_path / "run", state, {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"})
    exported = export(tmp_path / "run" / "global_step_2", tmp_path / "model", dtype)
    assert exported.kept is not None
    assert least <= exported.kept <= most
    assert not (tmp_path / "model" / "lora_adapter").exists()
    merged = load(tmp_path / "model")
    changed = {name for name in merged if not torch.equal(merged[name].float(), before[name].float())}
    assert {name.rsplit(".", 2)[1] for name in changed} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    assert not [name for name in changed if "visual" in name]
    for name, weight in merged.items():
        assert weight.dtype == getattr(torch, dtype)
        torch.testing.assert_close(weight, expected[name].to(weight.dtype), rtol=0.01, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_loses_a_small_update_and_says_so(tmp_path: Path) -> None:
    state, _ = adapted(taught(), 0.002)
    write_checkpoint(tmp_path / "run", state, {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"})
    kept = export(tmp_path / "run", tmp_path / "model").kept
    assert kept is not None
    assert kept < 0.5


def test_wrong_input_raises_before_anything_is_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", {})
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a").write_text("mine")
    (tmp_path / "megatron" / "global_step_1" / "actor" / "model").mkdir(parents=True)
    for arguments, message in (
        ((tmp_path / "nowhere", tmp_path / "model"), "expected a checkpoint of verl, got no such folder"),
        ((tmp_path / "megatron" / "global_step_1", tmp_path / "model"), "expected a checkpoint that FSDP saved"),
        ((tmp_path / "run", tmp_path / "used"), "expected a new folder for the model, got one with files"),
        ((tmp_path / "run", tmp_path / "model", "float32"), "dtype: expected bfloat16 for a checkpoint without LoRA"),
        ((tmp_path / "run", tmp_path / "model", "int8"), "dtype: expected one of bfloat16, float32, got 'int8'"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            export(*arguments)
    assert not (tmp_path / "model").exists()


def test_the_last_checkpoint_of_a_run_is_taken(tmp_path: Path) -> None:
    actor = write_checkpoint(tmp_path, {})
    for folder in (tmp_path, actor.parent, actor):
        assert find_actor(folder) == actor
