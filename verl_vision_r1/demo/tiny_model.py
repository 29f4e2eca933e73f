"""A Qwen2.5-VL model with a few million parameters, built without a download.

transformers, vLLM and verl load it like a published model. Its tokenizer is trained on the prompts and completions of
the dataset. Whole numbers and frequent texts between them are single tokens, so that a box takes ten tokens instead of
forty, and the model learns coordinates in a minute.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

SPECIAL_TOKENS: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
NUMBERS: Final = 1001
"""Number of whole numbers, from 0, that are single tokens."""
INITIAL_DEVIATION: Final = 0.06
"""Standard deviation of the initial weights. With the usual 0.02, this model learns nothing for hundreds of steps."""
PIECES: Final = 256
"""Number of texts between numbers that are single tokens: the most frequent ones."""
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tiny_model(folder: Path, texts: Iterable[str], seed: int = 0) -> Path:
    """Write a tiny Qwen2.5-VL with random weights: configuration, weights, tokenizer, processor.

    Args:
        folder: Output folder.
        texts: Prompts and completions to train the tokenizer on.
        seed: Seed of the weights.

    Returns:
        The folder.
    """
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    processor = _processor(make_tokenizer(texts))
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(processor.tokenizer))
    _initialise_numbers(model, processor.tokenizer)
    end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    pad = processor.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad, do_sample=True)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _initialise_numbers(model: Any, tokenizer: Any) -> None:
    """Initialise the embeddings of numbers as waves with periods from 6 to 2,000, similar for close numbers.

    Their standard deviation is that of the other embeddings. Embeddings are tied, so a model that predicts 57 also
    gives 56 and 58 some probability from the start; otherwise it would have to learn each number separately.
    """
    import torch

    embedding = model.get_input_embeddings().weight
    waves = embedding.shape[1] // 2
    periods = torch.logspace(math.log10(6), math.log10(2000), waves, dtype=torch.float64)
    angles = 2 * math.pi * torch.arange(NUMBERS)[:, None] / periods
    codes = torch.cat([angles.cos(), angles.sin()], dim=1) * math.sqrt(2) * INITIAL_DEVIATION
    with torch.no_grad():
        embedding[tokenizer.convert_tokens_to_ids([str(number) for number in range(NUMBERS)])] = codes.float()


def make_tokenizer(
    texts: Iterable[str],
    special: Sequence[str] = SPECIAL_TOKENS,
    end: str = "<|im_end|>",
    template: str = CHAT_TEMPLATE,
) -> Any:
    """Train a tokenizer on texts.

    Args:
        texts: Prompts and completions.
        special: The special tokens of the model family; the first one is the padding token.
        end: The end token.
        template: The chat template of the family.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2TokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1024, show_progress=False, initial_alphabet=alphabet)
    texts = list(texts)
    tokenizer.train_from_iterator(texts, trainer)
    fast = Qwen2TokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=special[0], model_max_length=4096)
    fast.add_special_tokens({"additional_special_tokens": list(special)})
    # As added tokens, because transformers applies Qwen's own pre-tokenization first.
    added = [*(str(number) for number in range(NUMBERS)), *_pieces(texts)]
    fast.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    fast.chat_template = template
    return fast


def _pieces(texts: Iterable[str]) -> list[str]:
    """Frequent texts before, between and after numbers: the output format, whole prompts."""
    found = Counter(piece for text in texts for piece in re.split(r"(?<![A-Za-z_])[0-9]+", text) if len(piece) > 1)
    return [piece for piece, count in found.most_common(PIECES) if count > 1]


def _processor(tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        video_processor=Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLConfig

    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": (len(tokenizer) + 63) // 64 * 64,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        # An image has few tokens per side: with the usual base of 10,000 their positions would be nearly equal.
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 4.0},
        "tie_word_embeddings": True,
        "initializer_range": INITIAL_DEVIATION,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    vision = {
        "depth": 4,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": 128,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [1, 3],
        "initializer_range": INITIAL_DEVIATION,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        initializer_range=INITIAL_DEVIATION,
    )
