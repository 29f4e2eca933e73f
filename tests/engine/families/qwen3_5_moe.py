"""A tiny Qwen3.5 with experts."""

from typing import Any, Final

from families.qwen3_5 import OVERRIDES, layers
from families.shared import QWEN3_VISION, Tiny, qwen3_processor, qwen_ids

EXPERTS: Final = {
    **{"num_experts": 4, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 64, "shared_expert_intermediate_size": 64},
}


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration

    text = {**layers(tokenizer), **EXPERTS}
    text.pop("intermediate_size")
    config = Qwen3_5MoeConfig(
        text_config=text, vision_config=QWEN3_VISION, tie_word_embeddings=True, **qwen_ids(tokenizer)
    )
    return Qwen3_5MoeForConditionalGeneration(config), qwen3_processor(tokenizer)


TINY = Tiny(build, overrides=OVERRIDES)
