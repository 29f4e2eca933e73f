"""What a forward and a backward pass hold in memory, from the shapes of a transformer.

Counted for attention that keeps no matrix of scores (flash attention, or torch's own without a mask), and for the
layers of Qwen's models as transformers writes them: each keeps a float32 copy in both of its norms, the inputs of its
matrices, its queries, keys, values and what attention gave, and four arrays of the width of its feed-forward part.
A test holds the formulas to what torch allocates.
"""

from dataclasses import dataclass
from typing import Any, Final

CHUNK: Final = 512
"""Tokens whose logits verl's fused kernel has at a time (`FusedLinearForPPO`)."""
FLOAT32: Final = 4
"""Bytes of a number."""


@dataclass(frozen=True)
class Layers:
    """The shape of a stack of transformer layers.

    Attributes:
        depth: Layers.
        width: Of the stream between them.
        queries: Width of all queries of one token.
        keys: Width of all keys of one token.
        feedforward: Width of the feed-forward part; of a mixture, that of all experts that a token goes through.
        gated: Whether the feed-forward part has a gate.
        head_norms: Whether queries and keys are normalised too.
        root_mean_square: Whether norms are of that kind, which transformers computes in float32.
    """

    depth: int
    width: int
    queries: int
    keys: int
    feedforward: int
    gated: bool = True
    head_norms: bool = False
    root_mean_square: bool = True

    def of_layer(self, size: int) -> int:
        """Bytes that one layer keeps of one token for its backward pass.

        Args:
            size: Bytes of a number in the type that is computed in.
        """
        norms = 2 * (2 * size + (FLOAT32 if self.root_mean_square else 0)) * self.width
        attention = 2 * size * (self.queries + self.keys)
        attention += (FLOAT32 + size) * (self.queries + self.keys) if self.head_norms else 0
        return norms + attention + (4 if self.gated else 3) * size * self.feedforward

    def kept(self, size: int, checkpointing: bool) -> int:
        """Bytes that all layers keep of one token between the forward and the backward pass."""
        return self.depth * (size * self.width if checkpointing else self.of_layer(size))

    def backward(self, size: int, checkpointing: bool) -> int:
        """Bytes for one token while a layer's backward pass runs, beside what is kept.

        With checkpointing the layer is computed again first.
        """
        gradients = size * (self.width + 2 * self.feedforward)
        return gradients + (self.of_layer(size) if checkpointing else 0)


def language_layers(config: Any) -> Layers:
    """The shape of a language model, from its Hugging Face configuration."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    experts = getattr(config, "num_experts_per_tok", None)
    feedforward = config.moe_intermediate_size * experts if experts else config.intermediate_size
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    head_norms = config.model_type.startswith("qwen3")
    return Layers(config.num_hidden_layers, config.hidden_size, queries, keys, feedforward, head_norms=head_norms)


def vision_layers(config: Any) -> Layers:
    """The shape of a vision tower of Qwen-VL, from its Hugging Face configuration; its tokens are patches."""
    width = getattr(config, "embed_dim", None) or config.hidden_size
    newer = config.model_type == "qwen2_5_vl_vision"
    feedforward = getattr(config, "intermediate_size", None) or int(width * config.mlp_ratio)
    return Layers(config.depth, width, width, width, feedforward, newer, root_mean_square=newer)


@dataclass(frozen=True)
class Logits:
    """How the last layer's logits are turned into the probabilities of the answer.

    Attributes:
        vocabulary: Logits of one token.
        fused: verl's fused kernel, which has those of `CHUNK` tokens at a time.
        flash: flash-attn's cross entropy, which puts the gradient into the place of the logits.
        scaled: Whether they are divided by a temperature, in a copy.
        size: Bytes of a number in the type that is computed in.
    """

    vocabulary: int
    fused: bool
    flash: bool
    scaled: bool
    size: int

    def bytes_of(self, tokens: int) -> int:
        """Bytes of the logits of so many tokens, with their gradient."""
        if self.fused:
            return min(tokens, CHUNK) * self.vocabulary * 5 * FLOAT32
        each = self.size if self.flash else self.size + 2 * FLOAT32
        return tokens * self.vocabulary * (each + (self.size if self.scaled else 0))

    @property
    def words(self) -> str:
        """How they are handled."""
        if self.fused:
            return f"fused kernel: logits of {CHUNK} tokens at a time, five float32 arrays"
        if self.flash:
            return "logits of all tokens in the computing type, their gradient in the same place (flash-attn)"
        return "logits of all tokens in the computing type, log-softmax and gradient in float32"
