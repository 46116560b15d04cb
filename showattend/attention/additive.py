"""Soft attention as the paper has it: a small network compares each location with the state."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, DecoderContext, Sizes, register
from showattend.ops.additive_attention import EAGER_KERNELS, AdditiveEnergy, exp_2x
from showattend.ops.linear import linear


@register("soft")
class SoftAttention(Attention):
    """Additive attention, e_ti = w . tanh(W_a a_i + W_h h_{t-1}), alpha = softmax(e), z = sum_i alpha_i a_i (Xu et al. 2015, eq. 4-6, 13).

    Args:
        gain: of the first weights; above 1 it prefers some locations from the start
        layers: between annotations and energies; each above 1 makes tanh(W W_a a_i) of W_a a_i (the authors' code)
    """

    def __init__(self, sizes: Sizes, *, gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes)
        self.key = nn.Linear(sizes.feature, sizes.attention)
        deeper = [m for _ in range(layers - 1) for m in (nn.Linear(sizes.attention, sizes.attention), nn.Tanh())]
        self.deeper = nn.Sequential(*deeper)
        self.query = nn.Linear(sizes.hidden, sizes.attention, bias=False)
        self.energy = nn.Linear(sizes.attention, 1, bias=False)
        self.kernels = EAGER_KERNELS
        with torch.no_grad():
            self.key.weight.mul_(gain)
            self.energy.weight.mul_(gain)

    def precompute(self, features: Tensor) -> AttentionCache:
        """The features, W_a a_i, and exp(2 W_a a_i), (N,L,A)."""
        keys = self.deeper(linear(features, self.key.weight, self.key.bias)).to(self.energy.weight.dtype)
        return features, keys, exp_2x(keys.detach())

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Mix the annotations by their weights."""
        features, *keys = memory
        alpha = self.energies(keys, query.h).softmax(-1)
        return AttentionOutput(alpha.to(features.dtype) @ features, alpha)

    def energies(self, keys: Sequence[Tensor], h: Tensor) -> Tensor:
        """e_ti for what `remember` made of the photos, without the features, and states (N,G,H), (N,G,L)."""
        weight, query = self.energy.weight[0], self.query(h)
        # In mixed precision, too, the energies are made in full.
        with torch.autocast(h.device.type, enabled=False):
            energies: Tensor = AdditiveEnergy.apply(self.kernels, *keys, query.to(weight.dtype), weight)
        return energies
