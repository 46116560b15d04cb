"""Scaled dot-product attention, with one head or several (Vaswani et al. 2017)."""

import math

import torch
from torch import Tensor, nn

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, register
from showattend.errors import InputError


@register("dot")
class DotAttention(Attention):
    """e_ti = (W_a a_i) . (W_h h_{t-1}) / sqrt(A), alpha = softmax(e), z = sum_i alpha_i a_i (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__(sizes)
        self.key = nn.Linear(sizes.projection_dim, sizes.attention_size)
        self.query = nn.Linear(sizes.hidden_size, sizes.attention_size, bias=False)
        self.scale = 1 / math.sqrt(sizes.attention_size)

    def precompute(self, features: Tensor) -> AttentionCache:
        """The features (N,L,D), and the keys W_a a_i transposed, (N,A,L)."""
        return features, self.key(features).transpose(1, 2).contiguous()

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The mean of the features, weighted by alpha."""
        features, keys = cache
        alpha = (self.scale * self.query(query.h) @ keys).softmax(-1)
        return AttentionOutput(alpha.to(features.dtype) @ features, alpha)


@register("multi_head")
class MultiHeadAttention(Attention):
    """Several dot-product attentions in parallel, each over its own part of the channels (Vaswani et al. 2017, section 3.2.2).

    head_j = sum_i alpha_ji (W_v a_i)_j, z = W_o [head_1, ..., head_m]; alpha is the mean over the heads.

    Args:
        heads: m, divides both A and D

    Raises:
        InputError: `heads` does not divide A and D.
    """

    def __init__(self, sizes: AttentionSizes, *, heads: int = 8) -> None:
        super().__init__(sizes)
        if heads < 1 or sizes.attention_size % heads or sizes.projection_dim % heads:
            raise InputError(
                f"{heads} heads do not divide attention_size {sizes.attention_size} and {sizes.projection_dim} channels of features: "
                "give a number of heads that divides both, such as attention_options '{heads: 4}'"
            )
        self.heads = heads
        self.key = nn.Linear(sizes.projection_dim, sizes.attention_size)
        self.query = nn.Linear(sizes.hidden_size, sizes.attention_size, bias=False)
        self.value = nn.Linear(sizes.projection_dim, sizes.projection_dim)
        self.mix = nn.Linear(sizes.projection_dim, sizes.projection_dim)
        self.scale = 1 / math.sqrt(sizes.attention_size // heads)

    def precompute(self, features: Tensor) -> AttentionCache:
        """Keys (N,m,A/m,L) and values (N,m,L,D/m)."""
        keys = self.key(features).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1).contiguous()
        return keys, self.value(features).unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The heads' contexts, joined and projected by W_o."""
        keys, values = cache
        queries = self.query(query.h).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N,m,G,A/m)
        alpha = (self.scale * queries @ keys).softmax(-1)
        context: Tensor = self.mix((alpha.to(values.dtype) @ values).transpose(1, 2).flatten(-2))
        return AttentionOutput(context, torch.mean(alpha, 1))
