"""What the tiny models of all families share: the tokenizer, a small language model, the files."""

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
QWEN3_VISION: Final = {
    **{"depth": 3, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128},
    **{"patch_size": 16, "num_position_embeddings": 576},
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
class Tiny:
    """How a tiny model of a family is made and trained.

    Attributes:
        build: (tokenizer) -> model and processor.
        frame: The frame that the family answers in, as its makers say, whatever the order of the axes.
        end: The token that ends an answer.
        tokens: Its special tokens, the padding token first.
        template: Its chat template.
        form: The form of the planted answer, a key of `planted.FORMS`.
        overrides: Further overrides of its training run.
    """

    build: Callable[[Any], tuple[Any, Any]]
    frame: str = "relative_1000"
    end: str = "<|im_end|>"
    tokens: tuple[str, ...] = SPECIAL_TOKENS
    template: str = CHAT_TEMPLATE
    form: str = "json"
    overrides: tuple[str, ...] = ()


def write_tiny(tiny: Tiny, folder: Path, texts: Iterable[str]) -> Path:
    """Write a tiny model of a family."""
    import torch
    from transformers import GenerationConfig

    tokenizer = make_tokenizer(texts, tiny.tokens, tiny.end, tiny.template)
    torch.manual_seed(0)
    model, processor = tiny.build(tokenizer)
    end = tokenizer.convert_tokens_to_ids(tiny.end)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id, do_sample=True)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_config(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """The configuration of a small language model with M-RoPE, whose heads of 32 have 16 frequencies."""
    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    return {
        **TEXT,
        "vocab_size": vocabulary(tokenizer),
        "rope_parameters": rope,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def vocabulary(tokenizer: Any) -> int:
    """The size of the vocabulary, a multiple of 64."""
    return (len(tokenizer) + 63) // 64 * 64


def qwen_ids(tokenizer: Any) -> dict[str, int]:
    """The ids of Qwen's special tokens, as its configurations name them."""
    token = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }


def qwen3_processor(tokenizer: Any) -> Any:
    """The processor of Qwen3-VL and Qwen3.5."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    images = Qwen2VLImageProcessor(patch_size=16, **halves)
    return Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), chat_template=CHAT_TEMPLATE)


def glm_config(tokenizer: Any) -> dict[str, Any]:
    """What the configurations of all GLM-V models share: the vision tower and the ids of the special tokens."""
    token = tokenizer.convert_tokens_to_ids
    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128}
    return {
        "vision_config": {**vision, "patch_size": 14, "image_size": 336},
        "image_token_id": token("<|image|>"),
        "video_token_id": token("<|video|>"),
        "image_start_token_id": token("<|begin_of_image|>"),
        "image_end_token_id": token("<|end_of_image|>"),
        "video_start_token_id": token("<|begin_of_video|>"),
        "video_end_token_id": token("<|end_of_video|>"),
    }


def glm_tiny(build: Callable[[Any], tuple[Any, Any]]) -> Tiny:
    """A tiny model of a GLM-V family, which answers in GLM's own form."""
    overrides = [f"vision_r1.reward.tasks.detection.{key}" for key in ("parser=glm_boxes", "matcher=any_label")]
    return Tiny(build, "relative_1000", "<|user|>", GLM_TOKENS, GLM_TEMPLATE, "glm", tuple(overrides))
