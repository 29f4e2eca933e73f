"""A tiny Qwen2-VL."""

from typing import Any, Final

from families.shared import Tiny, qwen_ids, text_config
from verl_vision_r1.demo.tiny_model import CHAT_TEMPLATE, SPECIAL_TOKENS


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    vision = {"depth": 2, "embed_dim": 64, "hidden_size": 128, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(
        text_config=text_config(tokenizer), vision_config=vision, tie_word_embeddings=True, **qwen_ids(tokenizer)
    )
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT_TEMPLATE
    )
    return Qwen2VLForConditionalGeneration(config), processor


TOKENS: Final = (
    *SPECIAL_TOKENS,
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
)
PARSER: Final = "vision_r1.reward.tasks.detection.parser=marked_boxes"
TINY = Tiny(build, tokens=TOKENS, form="qwen2", overrides=(PARSER,))
