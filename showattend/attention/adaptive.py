"""Attention that may look away: words like `of` need no photo."""

import torch
from torch import Tensor, nn, sigmoid, tanh

from showattend.attention.additive import SoftAttention
from showattend.attention.base import AttentionCache, AttentionOutput, DecoderContext, Sizes, register


@register("adaptive")
class AdaptiveAttention(SoftAttention):
    """A sentinel, made of what the cell remembers, competes with the locations (Lu et al. 2017, eq. 9-13).

    s_t = sigmoid(W_x x_t + W_g h_{t-1}) * tanh(c_{t-1})
    alpha = softmax([e_t, w . tanh(W_s s_t + W_h h_{t-1})]), z = sum_i alpha_i a_i + alpha_{L+1} W_c s_t

    with e_t as in `soft`. The paper's model looks after the cell has moved, and its sentinel is made of h_t and c_t; here, as in
    Xu et al., the decoder looks before. W_c brings the sentinel to the annotations' channels, which are the same in the paper.
    What `Look.alpha` lacks to 1 is the sentinel's weight, the paper's beta.

    Args:
        gain, layers: as `soft`
    """

    def __init__(self, sizes: Sizes, *, gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes, gain=gain, layers=layers)
        self.gate = nn.Linear(sizes.embedding + sizes.hidden, sizes.hidden)
        self.sentinel_key = nn.Linear(sizes.hidden, sizes.attention)
        self.sentinel_value = nn.Linear(sizes.hidden, sizes.feature)

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Mix the annotations and the sentinel by their weights."""
        features, *keys = memory
        sentinel = sigmoid(self.gate(torch.cat((query.word, query.h), -1))) * tanh(query.c)
        away: Tensor = self.energy(tanh(self.sentinel_key(sentinel) + self.query(query.h)))
        energies = self.energies(keys, query.h)
        alpha = torch.cat((energies, away.to(energies.dtype)), -1).softmax(-1)
        alpha, beta = alpha[..., :-1], alpha[..., -1:]
        seen = alpha.to(features.dtype) @ features + beta.to(features.dtype) * self.sentinel_value(sentinel)
        return AttentionOutput(seen, alpha)
