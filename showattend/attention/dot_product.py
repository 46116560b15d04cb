"""Attention by scalar products, as the Transformer has it."""

import math

import torch
from torch import Tensor, nn

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, DecoderContext, Sizes, register
from showattend.errors import InputError


@register("dot")
class DotAttention(Attention):
    """e_ti = (W_a a_i) . (W_h h_{t-1}) / sqrt(A), alpha = softmax(e), z = sum_i alpha_i a_i (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.key = nn.Linear(sizes.feature, sizes.attention)
        self.query = nn.Linear(sizes.hidden, sizes.attention, bias=False)
        self.scale = 1 / math.sqrt(sizes.attention)

    def precompute(self, features: Tensor) -> AttentionCache:
        """The features, and W_a a_i turned on its side, (N,A,L)."""
        return features, self.key(features).transpose(1, 2).contiguous()

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Mix the annotations by their weights."""
        features, keys = memory
        alpha = (self.scale * self.query(query.h) @ keys).softmax(-1)
        return AttentionOutput(alpha.to(features.dtype) @ features, alpha)


@register("multi_head")
class MultiHeadAttention(Attention):
    """Several attentions by scalar product side by side, each over its own share of the channels (Vaswani et al. 2017, section 3.2.2).

    head_j = sum_i alpha_ji (W_v a_i)_j, z = W_o [head_1, ..., head_m]; alpha is the mean over the heads.

    Args:
        heads: m, divides both A and D

    Raises:
        InputError: it does not.
    """

    def __init__(self, sizes: Sizes, *, heads: int = 8) -> None:
        super().__init__(sizes)
        if heads < 1 or sizes.attention % heads or sizes.feature % heads:
            raise InputError(
                f"{heads} heads do not divide attention_size {sizes.attention} and {sizes.feature} channels of features: "
                "give --model.attention_options '{heads: M}'"
            )
        self.heads = heads
        self.key = nn.Linear(sizes.feature, sizes.attention)
        self.query = nn.Linear(sizes.hidden, sizes.attention, bias=False)
        self.value = nn.Linear(sizes.feature, sizes.feature)
        self.mix = nn.Linear(sizes.feature, sizes.feature)
        self.scale = 1 / math.sqrt(sizes.attention // heads)

    def precompute(self, features: Tensor) -> AttentionCache:
        """Keys (N,m,A/m,L) and values (N,m,L,D/m)."""
        keys = self.key(features).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1).contiguous()
        return keys, self.value(features).unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Look with every head and bring together what they see."""
        keys, values = memory
        asked = self.query(query.h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        alpha = (self.scale * asked @ keys).softmax(-1)
        seen: Tensor = self.mix((alpha.to(values.dtype) @ values).transpose(1, 2).flatten(-2))
        return AttentionOutput(seen, torch.mean(alpha, 1))
