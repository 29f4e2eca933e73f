"""The step of the weights: what the actor sends is loaded into vLLM's model."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from take_steps import take_steps, write_model

from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = [
    pytest.mark.process,
    pytest.mark.verl,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

Sent = list[list[Any]]
LONG = "actor_rollout_ref.rollout.max_num_batched_tokens=17000"
FAMILIES = {
    "qwen2_vl": ("Qwen/Qwen2-VL-2B-Instruct", ["+recipe=visual_rft_qwen2vl_2b_coco"]),
    "qwen2_5_vl": ("Qwen/Qwen2.5-VL-7B-Instruct", ["+recipe=vision_r1_qwen7b"]),
    "qwen3_vl": ("Qwen/Qwen3-VL-4B-Instruct", ["+recipe=vision_r1_qwen3vl_4b", LONG]),
    "qwen3_vl_moe": ("Qwen/Qwen3-VL-30B-A3B-Instruct", ["+recipe=vision_r1_qwen3vl_30b_a3b", LONG]),
    "qwen3_5": ("Qwen/Qwen3.5-4B", ["+recipe=vision_r1_qwen3_5_4b"]),
    "qwen3_5_moe": ("Qwen/Qwen3.5-35B-A3B", ["+recipe=vision_r1_qwen3_5_35b_a3b"]),
}


def weights_of(model: Path) -> Sent:
    """What verl's FSDP engine sends of a model."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText
    from verl.utils.model import convert_weight_keys
    from verl.workers.engine.fsdp.utils import unfuse_moe_params

    config = AutoConfig.from_pretrained(model)
    with torch.device("meta"):
        module = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    weights = convert_weight_keys(module.state_dict(), module)
    return [[name, list(part.shape), str(part.dtype)] for name, part in unfuse_moe_params(weights.items(), None)]


def adapter_of(model: Path, **targets: Any) -> Sent:
    """What verl's FSDP engine sends of an adapter."""
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForImageTextToText

    with torch.device("meta"):
        module = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(model), dtype=torch.bfloat16)
        module = get_peft_model(module, LoraConfig(r=64, task_type="CAUSAL_LM", **targets))
    return [[name, list(part.shape), "torch.bfloat16"] for name, part in get_peft_model_state_dict(module).items()]


def renamed(sent: Sent) -> Sent:
    return [[name.replace("layers.1.mlp.up_proj", "layers.1.mlp.upper"), *rest] for name, *rest in sent]


def reshaped(sent: Sent) -> Sent:
    return [[name, [shape[0] + 1] if name.endswith(".norm.weight") else shape, kind] for name, shape, kind in sent]


def resharded(sent: Sent) -> Sent:
    larger = "layers.1.mlp.down_proj.weight"
    return [[name, [shape[0] + 1, *shape[1:]] if larger in name else shape, kind] for name, shape, kind in sent]


def without_keys(sent: Sent) -> Sent:
    return [part for part in sent if "layers.0.self_attn.k_proj" not in part[0]]


def with_one_more(sent: Sent) -> Sent:
    return [*sent, ["model.language_model.layers.1.self_attn.gate.weight", [8], "torch.bfloat16"]]


FAULTS: list[Callable[[Sent], Sent]] = [renamed, reshaped, resharded, without_keys, with_one_more]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    folder = tmp_path_factory.mktemp("transfer")
    models = {family: write_model(folder / family, name) for family, (name, _) in FAMILIES.items()}
    specs = {}

    def add(case: str, family: str, sent: Sent, overrides: list[str]) -> None:
        path = folder / f"{case}.json"
        path.write_text(json.dumps(sent))
        specs[case] = Spec("weight transfer", tuple(overrides), models[family], path)

    for family, (_, overrides) in FAMILIES.items():
        add(family, family, weights_of(models[family]), overrides)
    small, overrides = models["qwen2_5_vl"], FAMILIES["qwen2_5_vl"][1]
    sent = weights_of(small)
    for fault in FAULTS:
        add(fault.__name__, "qwen2_5_vl", fault(sent), overrides)
    language = {"target_modules": "all-linear", "exclude_modules": ".*visual.*"}
    tower = {"target_modules": r".*visual.*(qkv|proj)"}
    lora = ["+recipe=vision_r1_qwen7b_lora"]
    add("adapter", "qwen2_5_vl", adapter_of(small, **language), lora)
    add("adapter of the vision tower", "qwen2_5_vl", adapter_of(small, **tower), lora)
    add("no adapter", "qwen2_5_vl", [], [*lora, "actor_rollout_ref.model.target_modules=[nothing]"])
    add("nothing", "qwen2_5_vl", [], overrides)
    add("SGLang", "qwen2_5_vl", [], ["+recipe=vision_r1_qwen7b_sglang"])
    return take_steps(specs, folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_vllm_takes_every_weight_of_each_family(steps: dict[str, Step], family: str) -> None:
    assert steps[family].ok, steps[family]
    assert steps[family].figures["weights"] > 50


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        # vLLM itself ignores it without a word.
        ("renamed", "weights are sent but not taken: model.language_model.layers.1.mlp.upper.weight; 1 of vLLM's"),
        ("reshaped", "norm.weight [3585]: AssertionError: Attempted to load weight"),
        ("resharded", "layers.1.mlp.down_proj.weight [3585, 18944]: the shape is not that of its parameter"),
        ("without_keys", "2 of vLLM's parameters are not sent, or only in part: "),
        ("with_one_more", "weights are sent but not taken: model.language_model.layers.1.self_attn.gate.weight"),
        ("nothing", "of vLLM's parameters are not sent, or only in part: "),
    ],
)
def test_a_weight_that_does_not_fit_is_named(steps: dict[str, Step], fault: str, found: str) -> None:
    assert steps[fault].ok is False
    assert found in steps[fault].found
    assert "pip install 'verl[vllm]'" in steps[fault].advice


def test_vllm_takes_the_adapter_of_the_recipe(steps: dict[str, Step]) -> None:
    assert steps["adapter"].ok, steps["adapter"]
    assert steps["adapter"].found.endswith("takes 28 LoRA matrices")


def test_adapters_that_vllm_would_ignore_are_named(steps: dict[str, Step]) -> None:
    ignored = steps["adapter of the vision tower"]
    assert ignored.ok is False
    assert "adapters have no layer in vLLM and would be ignored: visual.blocks.0.attn.proj" in ignored.found
    assert ignored.advice.endswith("actor_rollout_ref.model.exclude_modules='.*visual.*'")
    assert steps["no adapter"].ok is False
    assert "target_modules=['nothing'] matches no layer" in steps["no adapter"].found


def test_models_of_sglang_are_not_checked(steps: dict[str, Step]) -> None:
    assert steps["SGLang"].ok is None
    assert steps["SGLang"].found == "rollout.name=sglang: names and shapes are checked against vLLM's models only"
