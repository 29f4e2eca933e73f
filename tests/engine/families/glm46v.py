"""A tiny GLM-4.6V-Flash, which is a GLM-4.1V with another processor; and the type that transformers names after it."""

from typing import Any

from families import glm4v
from families.shared import GLM_TEMPLATE, glm_config, glm_tiny, text_config


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model of the type `glm46v` and its processor."""
    from transformers import Glm46VConfig, Glm46VForConditionalGeneration

    text = text_config(tokenizer, partial_rotary_factor=1.0)
    config = Glm46VConfig(text_config=text, tie_word_embeddings=True, **glm_config(tokenizer))
    return Glm46VForConditionalGeneration(config), processor(tokenizer)


def build_flash(tokenizer: Any) -> tuple[Any, Any]:
    """The model of the type `glm4v` and its processor."""
    return glm4v.model(tokenizer), processor(tokenizer)


def processor(tokenizer: Any) -> Any:
    """The processor."""
    from transformers import Glm46VImageProcessor, Glm46VProcessor, Glm46VVideoProcessor

    return Glm46VProcessor(Glm46VImageProcessor(), tokenizer, Glm46VVideoProcessor(), chat_template=GLM_TEMPLATE)


TINY = glm_tiny(build)
FLASH = glm_tiny(build_flash)
