"""A tiny Qwen3-VL."""

from typing import Any

from families.shared import QWEN3_VISION, Tiny, qwen3_processor, qwen_ids, text_config


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = text_config(tokenizer, head_dim=32)
    text["rope_parameters"]["mrope_interleaved"] = True
    config = Qwen3VLConfig(
        text_config=text,
        vision_config={**QWEN3_VISION, "deepstack_visual_indexes": [0, 1]},
        tie_word_embeddings=True,
        **qwen_ids(tokenizer),
    )
    return Qwen3VLForConditionalGeneration(config), qwen3_processor(tokenizer)


TINY = Tiny(build)
