"""A tiny Qwen2.5-VL; MiMo-VL has the same architecture."""

from typing import Any

from families.shared import Tiny, qwen_ids, text_config
from verl_vision_r1.demo.tiny_model import CHAT_TEMPLATE


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128}
    vision |= {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(
        text_config=text_config(tokenizer), vision_config=vision, tie_word_embeddings=True, **qwen_ids(tokenizer)
    )
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT_TEMPLATE
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


TINY = Tiny(build, "resized_pixels")
