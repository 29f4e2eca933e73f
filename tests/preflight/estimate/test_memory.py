"""Estimated memory of small models, compared with torch's allocations and vLLM's cache size."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from measured import allocated, model_of, random_text, step, step_of_verl
from transformers import AutoConfig

from verl_vision_r1.preflight.estimate.activations import CHUNK, Logits, language_layers, vision_layers
from verl_vision_r1.preflight.estimate.generation import cache_bytes_of_token
from verl_vision_r1.preflight.estimate.model import measure
from verl_vision_r1.preflight.estimate.passes import Pass

pytestmark = pytest.mark.verl

TINY = Path(__file__).parents[3] / "verl_vision_r1" / "demo" / "model"
TOKENS = 256
IMAGE = (32, 32)
"""Height and width in patches."""
CLOSE = 0.05
"""Relative tolerance of estimated activations."""
ROTARY = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]}
TEXT = {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 256}
FAMILIES = {
    "qwen2_vl": {"depth": 4, "embed_dim": 128, "hidden_size": 256, "num_heads": 4, "mlp_ratio": 4},
    "qwen2_5_vl": {"depth": 4, "hidden_size": 128, "intermediate_size": 344, "num_heads": 4, "out_hidden_size": 256},
    "qwen3_vl": {
        "depth": 4, "hidden_size": 128, "intermediate_size": 512, "num_heads": 4, "out_hidden_size": 256,
        "deepstack_visual_indexes": [1], "num_position_embeddings": 256,
    },
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The models are so small that more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config_of(family: str, vocabulary: int = 4096) -> Any:
    """A small model of a family."""
    text: Mapping[str, Any] = {**TEXT, "intermediate_size": 688, "vocab_size": vocabulary, "rope_parameters": ROTARY}
    if family == "qwen3_vl":
        text = {**text, "head_dim": 64}
    special = {"image_token_id": vocabulary - 1, "video_token_id": vocabulary - 2}
    return AutoConfig.for_model(
        family, text_config=dict(text), vision_config=FAMILIES[family], tie_word_embeddings=False, **special
    )


def close(estimated: float, measured: float, tolerance: float = CLOSE) -> bool:
    return abs(estimated - measured) <= tolerance * measured


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_the_language_model_are_as_torch_allocates(family: str, checkpointing: bool) -> None:
    config = config_of(family, vocabulary=128)
    model, inputs = model_of(config, checkpointing=checkpointing), random_text(TOKENS, 120)
    peak, _ = allocated(lambda: step(model, inputs))
    layers, logits = language_layers(config.get_text_config()), Logits(128, False, False, False, 4)
    stored, layer = layers.stored_bytes(4, checkpointing), layers.backward_bytes(4, checkpointing)
    assert close(Pass(TOKENS * stored, 0, TOKENS * layer, logits.bytes_of(TOKENS)).peak, peak)


def test_logits_are_the_peak_of_a_large_vocabulary() -> None:
    config = config_of("qwen2_5_vl", vocabulary=8192)
    model, inputs = model_of(config, checkpointing=True), random_text(TOKENS, 8000)
    peak, _ = allocated(lambda: step_of_verl(model, inputs))
    layers, logits = language_layers(config.get_text_config()), Logits(8192, False, False, False, 4)
    stored, layer = layers.stored_bytes(4, True), layers.backward_bytes(4, True)
    estimated = Pass(TOKENS * stored, 0, TOKENS * layer, logits.bytes_of(TOKENS))
    assert estimated.logits > estimated.layer
    assert close(estimated.peak, peak)


def test_the_fused_kernel_needs_less_than_all_logits() -> None:
    from verl.utils.experimental.torch_functional import FusedLinearForPPO

    tokens, vocabulary, width = 2 * CHUNK, 8192, 64
    hidden = torch.randn(1, tokens, width, requires_grad=True)
    head = torch.randn(vocabulary, width)
    ids = torch.randint(0, vocabulary, (1, tokens))

    def call() -> torch.Tensor:
        probabilities, _ = FusedLinearForPPO()(hidden, head, ids, temperature=1.0)
        probabilities.sum().backward()
        return probabilities

    fused, whole = Logits(vocabulary, True, True, False, 4), Logits(vocabulary, False, False, False, 4)
    peak, _ = allocated(call)
    assert fused.bytes_of(tokens) * 0.95 < peak <= fused.bytes_of(tokens) * 1.05 < whole.bytes_of(tokens)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("checkpointing", "tolerance"), [(False, 0.15), (True, 0.02)])
def test_activations_of_the_vision_tower_are_as_torch_allocates(
    family: str, checkpointing: bool, tolerance: float
) -> None:
    # Patch embedding and connector are not counted; they cancel in the difference of two depths.
    few, many = (stored_by_vision(family, depth, checkpointing) for depth in (4, 8))
    layers = vision_layers(config_of(family).vision_config)
    assert close(IMAGE[0] * IMAGE[1] * layers.stored_bytes(4, checkpointing), many - few, tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_vision_tower_stores_activations_where_transformers_hooks_its_input(family: str) -> None:
    config = config_of(family)
    estimated = measure(config, "here", {"model": {"external_lib": "verl_vision_r1.training.freeze_vision"}})
    few, many = (stored_by_vision(family, depth, True, frozen=True) for depth in (4, 8))
    stored = IMAGE[0] * IMAGE[1] * vision_layers(config.vision_config).stored_bytes(4, True)
    assert not estimated.vision_trained
    assert close(stored, many - few, 0.02) if estimated.vision_recorded else many - few < stored / 50


def stored_by_vision(family: str, depth: int, checkpointing: bool, frozen: bool = False) -> int:
    """Bytes that a vision tower with a number of layers stores for one image."""
    config = config_of(family)
    vision = config.vision_config
    vision.depth = depth
    tower = model_of(config, checkpointing=checkpointing).model.visual.requires_grad_(not frozen)
    patches = torch.randn(IMAGE[0] * IMAGE[1], vision.in_channels * vision.temporal_patch_size * vision.patch_size**2)
    grid = torch.tensor([[1, *IMAGE]])
    return allocated(lambda: tower(patches, grid_thw=grid))[1]


def test_gradients_and_moments_of_the_tiny_model_are_those_of_adam() -> None:
    config = AutoConfig.from_pretrained(TINY)
    estimated = measure(config, "here", {"model": {}})
    model = model_of(config, checkpointing=False)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    numbers = sum(value.numel() * value.element_size() for value in moments)
    assert numbers == 2 * 4 * estimated.trained
    assert sum(part.grad.nbytes for part in model.parameters()) == 4 * estimated.trained


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_the_cache_per_token_is_that_of_vllm(parallel: int) -> None:
    interface = pytest.importorskip("vllm.v1.kv_cache_interface")
    model = measure(AutoConfig.from_pretrained(TINY), "here", {"model": {}})
    block, heads = 16, max(1, model.text.num_key_value_heads // parallel)
    layer = interface.FullAttentionSpec(
        block_size=block, num_kv_heads=heads, head_size=model.head_size, dtype=torch.float32
    )
    whole = model.text.num_hidden_layers * layer.page_size_bytes
    assert block * cache_bytes_of_token(model, 4, parallel) == whole
