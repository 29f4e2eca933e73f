"""A tiny GLM-4.5V, with experts; the large GLM-4.6V has the same type."""

from typing import Any, Final

from families.shared import GLM_TEMPLATE, glm_config, glm_tiny, text_config

EXPERTS: Final = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "first_k_dense_replace": 1},
    **{"moe_intermediate_size": 64, "head_dim": 32},
    "use_qk_norm": False,  # As in the published configurations; vLLM reads it.
}


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import (
        Glm4vImageProcessor,
        Glm4vMoeConfig,
        Glm4vMoeForConditionalGeneration,
        Glm4vProcessor,
        Glm4vVideoProcessor,
    )

    text = text_config(tokenizer, partial_rotary_factor=1.0, **EXPERTS)
    config = Glm4vMoeConfig(text_config=text, tie_word_embeddings=True, **glm_config(tokenizer))
    processor = Glm4vProcessor(Glm4vImageProcessor(), tokenizer, Glm4vVideoProcessor(), chat_template=GLM_TEMPLATE)
    return Glm4vMoeForConditionalGeneration(config), processor


TINY = glm_tiny(build)
