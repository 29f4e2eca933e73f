"""Memory of a forward and a backward pass, from the shapes of a transformer.

Assumes attention without a score matrix (flash attention, or torch's own without a mask) and the layers of the Qwen
models in transformers. Each layer stores a float32 copy in both norms, the inputs of its linear layers, queries, keys,
values and the attention output, and four activations of the feed-forward width. A test compares the formulas with
torch's allocations.
"""

from dataclasses import dataclass
from typing import Any, Final

CHUNK: Final = 512
"""Tokens per chunk in verl's fused kernel (`FusedLinearForPPO`)."""
FLOAT32: Final = 4
"""Bytes per float32 number."""


@dataclass(frozen=True)
class Layers:
    """The shape of a stack of transformer layers.

    Attributes:
        depth: Number of layers.
        width: Hidden size.
        queries: Size of the queries of all heads together.
        keys: Size of the keys of all heads together.
        feedforward: Feed-forward size; for a mixture of experts, that of all experts of a token together.
        gated: Whether the feed-forward layer has a gate.
        head_norms: Whether queries and keys are normalised.
        root_mean_square: Whether the norms are RMSNorm, which transformers computes in float32.
    """

    depth: int
    width: int
    queries: int
    keys: int
    feedforward: int
    gated: bool = True
    head_norms: bool = False
    root_mean_square: bool = True

    def layer_bytes(self, size: int) -> int:
        """Bytes per token that one layer stores for its backward pass.

        Args:
            size: Bytes per number of the compute dtype.
        """
        norms = 2 * self.norm_bytes(size)
        attention = 2 * size * (self.queries + self.keys)
        attention += (FLOAT32 + size) * (self.queries + self.keys) if self.head_norms else 0
        return norms + attention + (4 if self.gated else 3) * size * self.feedforward

    def norm_bytes(self, size: int) -> int:
        """Bytes per token that one norm stores."""
        return (2 * size + (FLOAT32 if self.root_mean_square else 0)) * self.width

    def stored_bytes(self, size: int, checkpointing: bool) -> int:
        """Bytes per token that all layers store between the forward and the backward pass."""
        return self.depth * (size * self.width if checkpointing else self.layer_bytes(size))

    def backward_bytes(self, size: int, checkpointing: bool) -> int:
        """Additional bytes per token during the backward pass of a layer.

        With checkpointing, the layer is recomputed first.
        """
        gradients = size * (self.width + 2 * self.feedforward)
        return gradients + (self.layer_bytes(size) if checkpointing else 0)


def language_layers(config: Any) -> Layers:
    """The layers of a language model, from its Hugging Face configuration."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    experts = getattr(config, "num_experts_per_tok", None)
    feedforward = config.moe_intermediate_size * experts if experts else config.intermediate_size
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    head_norms = config.model_type.startswith("qwen3")
    return Layers(config.num_hidden_layers, config.hidden_size, queries, keys, feedforward, head_norms=head_norms)


def vision_layers(config: Any) -> Layers:
    """The layers of a Qwen-VL vision tower, from its Hugging Face configuration. Its tokens are patches."""
    width = getattr(config, "embed_dim", None) or config.hidden_size
    newer = config.model_type == "qwen2_5_vl_vision"
    feedforward = getattr(config, "intermediate_size", None) or int(width * config.mlp_ratio)
    return Layers(config.depth, width, width, width, feedforward, newer, root_mean_square=newer)


def vision_ends_bytes(config: Any, size: int) -> int:
    """Bytes per patch that the two ends of a vision tower store: the patches, and the mergers with their norms."""
    layers = vision_layers(config)
    patch = int(getattr(config, "in_channels", 3)) * int(config.temporal_patch_size) * int(config.patch_size) ** 2
    mergers = 1 + len(getattr(config, "deepstack_visual_indexes", ()))
    return size * patch + mergers * (layers.norm_bytes(size) + 2 * size * layers.width)


@dataclass(frozen=True)
class Logits:
    """How the log-probabilities of a completion are computed from the logits.

    Attributes:
        vocabulary: Logits per token.
        fused: Whether verl's fused kernel is used, which computes `CHUNK` tokens at a time.
        flash: Whether flash-attn's cross entropy is used, which writes the gradient in place of the logits.
        scaled: Whether the logits are divided by a temperature, in a copy.
        size: Bytes per number of the compute dtype.
    """

    vocabulary: int
    fused: bool
    flash: bool
    scaled: bool
    size: int

    def bytes_of(self, tokens: int) -> int:
        """Bytes of the logits of a number of tokens, with their gradient."""
        if self.fused:
            return min(tokens, CHUNK) * self.vocabulary * 5 * FLOAT32
        each = self.size if self.flash else self.size + 2 * FLOAT32
        return tokens * self.vocabulary * (each + (self.size if self.scaled else 0))

    @property
    def basis(self) -> str:
        """How they are computed, as text."""
        if self.fused:
            return f"fused kernel: {CHUNK} tokens at a time, five float32 arrays"
        if self.flash:
            return "logits of all tokens in the compute dtype, gradient in place (flash-attn)"
        return "logits of all tokens in the compute dtype, log-softmax and gradient in float32"
