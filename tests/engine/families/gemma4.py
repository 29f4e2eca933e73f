"""A tiny Gemma 4: layers of sliding and full attention, without audio."""

from typing import Any, Final

from families.shared import TEXT, Tiny, vocabulary

TOKENS: Final = (
    *("<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
    *("<|image>", "<|image|>", "<image|>", "<|audio>", "<|audio|>", "<audio|>", "<|video|>"),
)
NAMED: Final = {
    **{"boi_token": "<|image>", "image_token": "<|image|>", "eoi_token": "<image|>"},
    **{"boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>"},
}
"""Attributes that the processor wants of a tokenizer, and their tokens."""
TEMPLATE: Final = (
    "<bos>{% for message in messages %}<|turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


def build(tokenizer: Any) -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import (
        Gemma4AudioFeatureExtractor,
        Gemma4Config,
        Gemma4ForConditionalGeneration,
        Gemma4ImageProcessor,
        Gemma4Processor,
        Gemma4VideoProcessor,
    )

    tokenizer._set_model_specific_special_tokens(special_tokens=NAMED)
    token = tokenizer.convert_tokens_to_ids
    text = {
        **TEXT,
        "vocab_size": vocabulary(tokenizer),
        "vocab_size_per_layer_input": vocabulary(tokenizer),
        "hidden_size_per_layer_input": 32,
        **{"head_dim": 32, "global_head_dim": 64, "sliding_window": 512},
        "layer_types": ["sliding_attention", "full_attention"],
        **{"pad_token_id": tokenizer.pad_token_id, "bos_token_id": token("<bos>"), "eos_token_id": token("<turn|>")},
    }
    vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 32}
    vision |= {"num_attention_heads": 2, "num_key_value_heads": 2, "position_embedding_size": 256}
    vision |= {"default_output_length": 70}  # As in the published configurations; vLLM reads it.
    config = Gemma4Config(
        text_config=text,
        vision_config=vision,
        audio_config=None,
        tie_word_embeddings=True,
        image_token_id=token("<|image|>"),
        **{"boi_token_id": token("<|image>"), "eoi_token_id": token("<image|>")},
        **{"audio_token_id": token("<|audio|>"), "video_token_id": token("<|video|>")},
        **{"boa_token_id": token("<|audio>"), "eoa_token_index": token("<audio|>")},
    )
    processor = Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(max_soft_tokens=70),
        tokenizer,
        Gemma4VideoProcessor(),
        chat_template=TEMPLATE,
        image_seq_length=70,
    )
    return Gemma4ForConditionalGeneration(config), processor


TINY = Tiny(build, "relative_1000", "<turn|>", TOKENS, TEMPLATE, "gemma")
