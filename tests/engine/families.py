"""A tiny model with random weights of each family that verl knows; transformers, vLLM and verl load it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.demo.tiny_model import CHAT_TEMPLATE, SPECIAL_TOKENS, make_tokenizer

TEXT: Final = {
    "hidden_size": 128,  # Heads of 32: vLLM on a CPU has no smaller ones.
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
GLM_TOKENS: Final = (
    *("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|observation|>", "[gMASK]", "<sop>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|video|>"),
    *("<|begin_of_box|>", "<|end_of_box|>"),
)
GLM_TEMPLATE: Final = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """How a tiny model of a family is made.

    Attributes:
        frame: The frame that the family answers in, as its makers say.
        end: The token that ends an answer.
        tokens: Its special tokens.
        template: Its chat template.
        build: (tokenizer) -> model and processor.
    """

    frame: str
    end: str
    tokens: tuple[str, ...]
    template: str
    build: Callable[[Any], tuple[Any, Any]]


def build_family(name: str, folder: Path, texts: Iterable[str]) -> Path:
    """Write a tiny model of a family."""
    import torch
    from transformers import GenerationConfig

    family = FAMILIES[name]
    tokenizer = make_tokenizer(texts, family.tokens, family.end, family.template)
    torch.manual_seed(0)
    model, processor = family.build(tokenizer)
    end = tokenizer.convert_tokens_to_ids(family.end)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id, do_sample=True)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _text(tokenizer: Any, sections: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "mrope_section": list(sections), "rope_theta": 10000.0}
    vocabulary = (len(tokenizer) + 63) // 64 * 64
    return {**TEXT, "vocab_size": vocabulary, "rope_parameters": rope, "pad_token_id": tokenizer.pad_token_id, **more}


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    token = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }


def _qwen2_vl(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    vision = {"depth": 2, "embed_dim": 64, "hidden_size": 128, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(
        text_config=_text(tokenizer, (4, 6, 6)), vision_config=vision, tie_word_embeddings=True, **_qwen_ids(tokenizer)
    )
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT_TEMPLATE
    )
    return Qwen2VLForConditionalGeneration(config), processor


def _qwen2_5_vl(tokenizer: Any) -> tuple[Any, Any]:
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
        text_config=_text(tokenizer, (4, 6, 6)), vision_config=vision, tie_word_embeddings=True, **_qwen_ids(tokenizer)
    )
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT_TEMPLATE
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


QWEN3_VISION: Final = {
    **{"depth": 3, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128},
    **{"patch_size": 16, "num_position_embeddings": 576, "deepstack_visual_indexes": [0, 1]},
}


def _qwen3_vl(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = _text(tokenizer, (4, 6, 6), head_dim=32)
    text["rope_parameters"]["mrope_interleaved"] = True
    config = Qwen3VLConfig(
        text_config=text, vision_config=QWEN3_VISION, tie_word_embeddings=True, **_qwen_ids(tokenizer)
    )
    return Qwen3VLForConditionalGeneration(config), _qwen3_processor(tokenizer)


def _qwen3_processor(tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    images = Qwen2VLImageProcessor(patch_size=16, **halves)
    return Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), chat_template=CHAT_TEMPLATE)


def _glm4v(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        Glm4vConfig,
        Glm4vForConditionalGeneration,
        Glm4vImageProcessor,
        Glm4vProcessor,
        Glm4vVideoProcessor,
    )

    token = tokenizer.convert_tokens_to_ids
    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128}
    vision |= {"patch_size": 14, "image_size": 336}
    config = Glm4vConfig(
        text_config=_text(tokenizer, (4, 6, 6), partial_rotary_factor=1.0),
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=token("<|image|>"),
        video_token_id=token("<|video|>"),
        image_start_token_id=token("<|begin_of_image|>"),
        image_end_token_id=token("<|end_of_image|>"),
        video_start_token_id=token("<|begin_of_video|>"),
        video_end_token_id=token("<|end_of_video|>"),
    )
    processor = Glm4vProcessor(Glm4vImageProcessor(), tokenizer, Glm4vVideoProcessor(), chat_template=GLM_TEMPLATE)
    return Glm4vForConditionalGeneration(config), processor


FAMILIES: Final = {
    "qwen2_vl": Family("relative_1000", "<|im_end|>", SPECIAL_TOKENS, CHAT_TEMPLATE, _qwen2_vl),
    "qwen2_5_vl": Family("resized_pixels", "<|im_end|>", SPECIAL_TOKENS, CHAT_TEMPLATE, _qwen2_5_vl),
    "qwen3_vl": Family("relative_1000", "<|im_end|>", SPECIAL_TOKENS, CHAT_TEMPLATE, _qwen3_vl),
    "glm4v": Family("relative_1000", "<|user|>", GLM_TOKENS, GLM_TEMPLATE, _glm4v),
}
