"""Adaptive attention: a token that needs no image, such as `of`, can attend to a sentinel instead (Lu et al. 2017)."""

import torch
from torch import Tensor, nn, sigmoid, tanh

from showattend.attention.additive import AdditiveAttention
from showattend.attention.base import AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, register


@register("adaptive")
class AdaptiveAttention(AdditiveAttention):
    """A sentinel, computed from the cell state, competes with the locations (Lu et al. 2017, eq. 9-13).

    s_t = sigmoid(W_x x_t + W_g h_{t-1}) * tanh(c_{t-1})
    alpha = softmax([e_t, w . tanh(W_s s_t + W_h h_{t-1})]), z = sum_i alpha_i a_i + alpha_{L+1} W_c s_t

    with the additive energies e_t. Lu et al. attend after the cell has been updated, with a sentinel of h_t and c_t; here, as in
    Xu et al., the decoder attends before. W_c maps the sentinel to the D channels of the features, which in Lu et al. are as many
    as H. What a row of alpha lacks to 1 is the weight of the sentinel, their beta.

    Args:
        gain, layers: see `AdditiveAttention`
    """

    def __init__(self, sizes: AttentionSizes, *, gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes, gain=gain, layers=layers)
        self.gate = nn.Linear(sizes.embedding_size + sizes.hidden_size, sizes.hidden_size)
        self.sentinel_key = nn.Linear(sizes.hidden_size, sizes.attention_size)
        self.sentinel_value = nn.Linear(sizes.hidden_size, sizes.projection_dim)

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The mean of the features and the sentinel, weighted by alpha and beta."""
        features, *keys = cache
        sentinel = sigmoid(self.gate(torch.cat((query.embedding, query.h), -1))) * tanh(query.c)
        sentinel_energy: Tensor = self.energy(tanh(self.sentinel_key(sentinel) + self.query(query.h)))
        energies = self.energies(keys, query.h)
        weights = torch.cat((energies, sentinel_energy.to(energies.dtype)), -1).softmax(-1)
        alpha, beta = weights[..., :-1], weights[..., -1:]
        context = alpha.to(features.dtype) @ features + beta.to(features.dtype) * self.sentinel_value(sentinel)
        return AttentionOutput(context, alpha)
