"""Parameter counts equal those of transformers and of the published weights."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForImageTextToText

from verl_vision_r1.preflight.estimate.model import Model, measure, read_config

pytestmark = pytest.mark.verl

TINY = Path(__file__).parents[3] / "verl_vision_r1" / "demo" / "model"
PUBLISHED = {
    "Qwen/Qwen2-VL-2B-Instruct": 2_208_985_600,
    "Qwen/Qwen2-VL-7B-Instruct": 8_291_375_616,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33_452_718_336,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73_410_777_344,
    "Qwen/Qwen3-VL-2B-Instruct": 2_127_532_032,
    "Qwen/Qwen3-VL-4B-Instruct": 4_437_815_808,
    "Qwen/Qwen3-VL-8B-Thinking": 8_767_123_696,
    "Qwen/Qwen3-VL-30B-A3B-Instruct": 31_070_754_032,
    # Without the layer that predicts further tokens (MTP), which transformers does not load: the weights of the dense
    # models have 60,828,160, 120,599,552, 243,290,624 and 424,699,392 parameters more.
    "Qwen/Qwen3.5-2B": 2_213_241_664,
    "Qwen/Qwen3.5-4B": 4_539_265_536,
    "Qwen/Qwen3.5-9B": 9_409_813_744,
    "Qwen/Qwen3.5-27B": 27_356_728_560,
    "Qwen/Qwen3.5-35B-A3B": 35_107_181_936,
}
"""Number of parameters of the weights on the hub."""


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def counted(name: str, **model: object) -> Model:
    return measure(*read_config({"path": name}), {"model": model})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_has_the_parameters_of_its_weights(name: str) -> None:
    model = counted(name)
    assert model.parameters == model.trained == PUBLISHED[name]
    assert model.vision_trained


def test_a_model_in_a_folder_has_the_parameters_of_the_loaded_one() -> None:
    real = AutoModelForImageTextToText.from_pretrained(TINY)
    model = counted(str(TINY))
    assert model.parameters == sum(part.numel() for part in real.parameters())
    layers = [*real.model.visual.blocks, *real.model.language_model.layers]
    sizes = [sum(part.numel() for part in layer.parameters()) for layer in layers]
    assert (model.largest_layer, model.outside_layers) == (max(sizes), model.parameters - sum(sizes))
    assert (model.side, model.patches_of_token, model.head_size) == (28, 4, 32)


@pytest.mark.parametrize("part", ["vision_tower", "vision"])
def test_frozen_parts_are_not_counted_as_trained(part: str) -> None:
    model = counted(str(TINY), external_lib=f"verl_vision_r1.training.freeze_{part}")
    real = AutoModelForImageTextToText.from_pretrained(TINY)
    vision = sum(part.numel() for part in real.model.visual.parameters())
    connector = sum(part.numel() for part in real.model.visual.merger.parameters())
    frozen = vision if part == "vision" else vision - connector
    assert model.parameters - model.trained == frozen
    assert not model.vision_trained


def test_only_adapters_are_trained() -> None:
    pytest.importorskip("peft")
    whole = counted(str(TINY))
    options = {"lora_rank": 4, "target_modules": ["q_proj"], "exclude_modules": None}
    model = counted(str(TINY), **options)
    queries = whole.text.num_hidden_layers * 4 * (whole.text.hidden_size + whole.text.num_attention_heads * 32)
    assert model.trained == queries
    assert model.parameters == whole.parameters + queries


def test_a_configuration_can_be_a_file() -> None:
    config, source = read_config({"path": "somebody/else"}, TINY / "config.json")
    assert config.model_type == "qwen2_5_vl"
    assert source.endswith("config.json")


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("somebody/else", None, "one of Qwen2-VL-2B.*got 'somebody/else'.*--model-config FILE"),
        ("somebody/else", "nowhere.json", "--model-config: expected the config.json of a model, got nowhere.json"),
    ],
)
def test_a_missing_model_is_an_error(name: str, file: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_config({"path": name}, Path(file) if file else None)


def test_a_language_model_is_an_error(tmp_path: Path) -> None:
    AutoConfig.for_model("qwen2").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected a vision-language model, got qwen2"):
        read_config({"path": str(tmp_path)})
