"""A tiny GLM-4.1V."""

from typing import Any

from families.shared import GLM_TEMPLATE, glm_config, glm_tiny, text_config


def model(tokenizer: Any) -> Any:
    """The model."""
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration

    text = text_config(tokenizer, partial_rotary_factor=1.0)
    return Glm4vForConditionalGeneration(
        Glm4vConfig(text_config=text, tie_word_embeddings=True, **glm_config(tokenizer))
    )


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import Glm4vImageProcessor, Glm4vProcessor, Glm4vVideoProcessor

    processor = Glm4vProcessor(Glm4vImageProcessor(), tokenizer, Glm4vVideoProcessor(), chat_template=GLM_TEMPLATE)
    return model(tokenizer), processor


TINY = glm_tiny(build)
