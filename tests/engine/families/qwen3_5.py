"""A tiny Qwen3.5: linear and full attention in turn; Qwen3.6 has the same type."""

from typing import Any, Final

from families.shared import QWEN3_VISION, Tiny, qwen3_processor, qwen_ids, text_config

LAYERS: Final = {
    **{"num_hidden_layers": 4, "layer_types": ["linear_attention", "full_attention"] * 2, "head_dim": 32},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_conv_kernel_dim": 4},
    **{"linear_key_head_dim": 32, "linear_value_head_dim": 32},
    "mamba_ssm_dtype": "float32",  # As in the published configurations; vLLM reads it.
    # A quarter of a head's 16 frequencies turns, in these sections.
    **{"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}},
}
OVERRIDES: Final = (
    # vLLM's CPU build: "CPU GDN attention requires BF16".
    "actor_rollout_ref.rollout.dtype=bfloat16",
    # On a CPU with AMX it switches prefix caching off too late: "mamba-block-size can only be set with ...".
    "actor_rollout_ref.rollout.enable_prefix_caching=false",
)


def layers(tokenizer: Any) -> dict[str, Any]:
    """The configuration of the language model."""
    text = text_config(tokenizer, **LAYERS)
    rope = {**text["rope_parameters"], "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    return {**text, "rope_parameters": rope}


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    config = Qwen3_5Config(
        text_config=layers(tokenizer), vision_config=QWEN3_VISION, tie_word_embeddings=True, **qwen_ids(tokenizer)
    )
    return Qwen3_5ForConditionalGeneration(config), qwen3_processor(tokenizer)


TINY = Tiny(build, overrides=OVERRIDES)
