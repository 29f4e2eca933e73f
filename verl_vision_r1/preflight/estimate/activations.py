"""Memory of a forward and a backward pass, from the shapes of a transformer.

Assumes attention without a score matrix (flash attention, or torch's own without a mask) and the layers of the Qwen
models in transformers. Each layer stores a float32 copy in both norms, the inputs of its linear layers, queries, keys,
values and the attention output, and four activations of the feed-forward width. A test compares the formulas with
torch's allocations. Linear attention is that of Qwen3.5, with the kernels of flash-linear-attention; its formulas are
compared with rehearsals.
"""

from dataclasses import dataclass
from typing import Any, Final

CHUNK: Final = 512
"""Tokens per chunk in verl's fused kernel (`FusedLinearForPPO`)."""
FLOAT32: Final = 4
"""Bytes per float32 number."""
LINEAR_CHUNK: Final = 64
"""Tokens per chunk in the kernels of flash-linear-attention."""


@dataclass(frozen=True)
class LinearAttention:
    """The shape of the layers with linear attention (gated DeltaNet).

    Attributes:
        depth: Number of layers with it.
        keys: Size of the keys of all heads together.
        values: Size of the values of all heads together.
        heads: Number of heads of the values.
        head: Size of a head of the keys.
    """

    depth: int
    keys: int
    values: int
    heads: int
    head: int

    def stored_bytes(self, size: int) -> int:
        """Bytes per token that one layer stores: convolution, kernel, and a gated norm that torch computes."""
        convolution = 2 * size * (2 * self.keys + self.values)
        kernel = 4 * size * self.values + self.heads * (LINEAR_CHUNK * size + 3 * FLOAT32)
        norm = (4 * FLOAT32 + 3 * size) * self.values
        return convolution + kernel + norm

    def backward_bytes(self, size: int) -> int:
        """Additional bytes per token of the kernel's backward pass: the states of the chunks and their gradients."""
        states = 2 * self.values * self.head // LINEAR_CHUNK
        return size * (states + 11 * self.values)


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
        output_gate: Whether the attention output has a gate.
        linear: The layers that have linear attention instead, if there are any.
    """

    depth: int
    width: int
    queries: int
    keys: int
    feedforward: int
    gated: bool = True
    head_norms: bool = False
    root_mean_square: bool = True
    output_gate: bool = False
    linear: LinearAttention | None = None

    def layer_bytes(self, size: int) -> int:
        """Bytes per token that one layer stores for its backward pass; of two kinds of layers, the larger one.

        Args:
            size: Bytes per number of the compute dtype.
        """
        linear = self.linear.stored_bytes(size) if self.linear else 0
        return max(self.attention_bytes(size), linear) + self.other_bytes(size)

    def attention_bytes(self, size: int) -> int:
        """Bytes per token that attention stores, without its norm."""
        gate = 3 * size * self.queries if self.output_gate else 0
        norms = (FLOAT32 + size) * (self.queries + self.keys) if self.head_norms else 0
        return 2 * size * (self.queries + self.keys) + norms + gate

    def other_bytes(self, size: int) -> int:
        """Bytes per token that a layer stores outside of its attention: both norms, and the feed-forward layer."""
        return 2 * self.norm_bytes(size) + (4 if self.gated else 3) * size * self.feedforward

    def norm_bytes(self, size: int) -> int:
        """Bytes per token that one norm stores."""
        return (2 * size + (FLOAT32 if self.root_mean_square else 0)) * self.width

    def stored_bytes(self, size: int, checkpointing: bool) -> int:
        """Bytes per token that all layers store between the forward and the backward pass."""
        if checkpointing:
            return self.depth * size * self.width
        linear, depth = (self.linear.stored_bytes(size), self.linear.depth) if self.linear else (0, 0)
        attention = depth * linear + (self.depth - depth) * self.attention_bytes(size)
        return attention + self.depth * self.other_bytes(size)

    def backward_bytes(self, size: int, checkpointing: bool) -> int:
        """Additional bytes per token during the backward pass of a layer.

        With checkpointing, the layer is recomputed first.
        """
        gradients = size * (self.width + 2 * self.feedforward)
        if self.linear:  # The activations of the feed-forward layer are freed before those of attention.
            gradients = max(gradients, self.linear.backward_bytes(size) - 4 * size * self.feedforward)
        return gradients + (self.layer_bytes(size) if checkpointing else 0)


def language_layers(config: Any) -> Layers:
    """The layers of a language model, from its Hugging Face configuration."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    experts = getattr(config, "num_experts_per_tok", None)
    feedforward = config.moe_intermediate_size * experts if experts else config.intermediate_size
    feedforward += getattr(config, "shared_expert_intermediate_size", 0)
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    linear = linear_attention(config)
    return Layers(
        config.num_hidden_layers,
        config.hidden_size,
        queries,
        keys,
        feedforward,
        head_norms=config.model_type.startswith("qwen3"),
        output_gate=linear is not None,
        linear=linear,
    )


def linear_attention(config: Any) -> LinearAttention | None:
    """The layers with linear attention of a language model, None if it has none."""
    depth = list(getattr(config, "layer_types", None) or ()).count("linear_attention")
    if not depth:
        return None
    head, heads = config.linear_key_head_dim, config.linear_num_value_heads
    values = heads * config.linear_value_head_dim
    return LinearAttention(depth, config.linear_num_key_heads * head, values, heads, head)


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
