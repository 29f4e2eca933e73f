"""A Qwen2.5-VL model with random weights, built without a download."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.demo.tiny_model import make_tokenizer

PUBLISHED: Final = "Qwen/Qwen2.5-VL-3B-Instruct"
"""The large model has this configuration: 3.75 billion parameters."""
SMALL_TEXT: Final = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 10000.0},
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": None,
}
SMALL_VISION: Final = {
    "depth": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_heads": 4,
    "out_hidden_size": 256,
    "fullatt_block_indexes": [1],
}


def architecture(small: bool) -> Any:
    """The published configuration of Qwen2.5-VL-3B, or one with two layers."""
    from transformers import Qwen2_5_VLConfig

    from verl_vision_r1.preflight.estimate.model import read_config

    if not small:
        return read_config({"path": PUBLISHED})[0]
    return Qwen2_5_VLConfig(text_config=SMALL_TEXT, vision_config=SMALL_VISION, tie_word_embeddings=True)


def build(folder: Path, texts: Iterable[str], small: bool) -> int:
    """Write a model: configuration, random bfloat16 weights, tokenizer, processor. Uses a GPU if there is one.

    Args:
        folder: Output folder; 7.5 GB, or a few megabytes for the small model.
        texts: Prompts and completions to train the tokenizer on.
        small: Whether to build the model with two layers.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer, config = make_tokenizer(texts), architecture(small)
    _set_special_tokens(config, tokenizer)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    end, pad = config.text_config.eos_token_id, config.text_config.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad, do_sample=True)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _save_processor(folder, tokenizer, config.text_config.vocab_size)
    return sum(parameter.numel() for parameter in model.parameters())


def _set_special_tokens(config: Any, tokenizer: Any) -> None:
    """Set the ids of the special tokens, which differ from those of Qwen's tokenizer."""
    number = tokenizer.convert_tokens_to_ids
    for part in (config, config.text_config):
        part.bos_token_id = part.pad_token_id = number("<|endoftext|>")
        part.eos_token_id = number("<|im_end|>")
        part.image_token_id, part.video_token_id = number("<|image_pad|>"), number("<|video_pad|>")
        part.vision_start_token_id, part.vision_end_token_id = number("<|vision_start|>"), number("<|vision_end|>")


def _save_processor(folder: Path, tokenizer: Any, size: int) -> None:
    """Write the processor; every id up to `size` gets a token, because random weights generate all of them."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    parts = {"image_processor": Qwen2VLImageProcessor(), "video_processor": Qwen2VLVideoProcessor()}
    template = tokenizer.chat_template
    Qwen2_5_VLProcessor(**parts, tokenizer=tokenizer, chat_template=template).save_pretrained(folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    # Otherwise the added tokens would get new ids after all others.
    vocabulary |= {token["content"]: token["id"] for token in content["added_tokens"]}
    vocabulary |= {f"unused{number}": number for number in range(len(tokenizer), size)}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
