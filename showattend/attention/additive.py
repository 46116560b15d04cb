"""Additive attention: a small network compares every location with the hidden state (Xu et al. 2015, eq. 4-6)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, register
from showattend.errors import InputError
from showattend.ops.additive_attention import EAGER_KERNELS, AdditiveEnergy, compiled_kernels, exp_2x
from showattend.ops.linear import linear
from showattend.ops.unroll_plan import AttentionParts


class AdditiveAttention(Attention):
    """The energies e_ti = w . tanh(W_a a_i + W_h h_{t-1}), for all attentions that build on them.

    Args:
        gain: factor on the initial W_a and w; above 1 the attention prefers some locations from the start
        layers: from features to keys; each above the first replaces the keys k by tanh(W k + b) (the authors' code)
    """

    def __init__(self, sizes: AttentionSizes, *, gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes)
        self.key = nn.Linear(sizes.projection_dim, sizes.attention_size)
        if layers < 1 or int(layers) != layers:
            raise InputError(f"layers of the additive attention is {layers}: give a whole number from 1 on")
        hidden = [m for _ in range(layers - 1) for m in (nn.Linear(sizes.attention_size, sizes.attention_size), nn.Tanh())]
        self.key_mlp = nn.Sequential(*hidden)
        self.query = nn.Linear(sizes.hidden_size, sizes.attention_size, bias=False)
        self.energy = nn.Linear(sizes.attention_size, 1, bias=False)
        self.kernels = EAGER_KERNELS
        with torch.no_grad():
            self.key.weight.mul_(gain)
            self.energy.weight.mul_(gain)

    def compile_kernels(self) -> None:
        """Compile the loops over locations: some seconds once per process, several times as fast from then on."""
        self.kernels = compiled_kernels()

    def precompute(self, features: Tensor) -> AttentionCache:
        """The features (N,L,D), the keys W_a a_i (N,L,A), and exp(2 W_a a_i) (N,L,A)."""
        keys = self.key_mlp(linear(features, self.key.weight, self.key.bias))
        keys = keys.to(torch.promote_types(self.energy.weight.dtype, torch.float32))
        return features, keys, exp_2x(keys.detach())

    def energies(self, keys: Sequence[Tensor], h: Tensor) -> Tensor:
        """e_ti, (N,G,L).

        Args:
            keys: W_a a_i and exp(2 W_a a_i), from `precompute`
            h: (N,G,H)
        """
        weight, query = self.energy.weight[0].to(keys[0].dtype), self.query(h)
        # Autocast is off: the exponentials need more range and precision than 16 bits have.
        with torch.autocast(h.device.type, enabled=False):
            energies: Tensor = AdditiveEnergy.apply(self.kernels, *keys, query.to(weight.dtype), weight)
        return energies


@register("soft")
class SoftAttention(AdditiveAttention):
    """alpha_t = softmax(e_t) with additive energies, z_t = sum_i alpha_ti a_i (Xu et al. 2015, eq. 4-6 and 13).

    Args:
        gain, layers: see `AdditiveAttention`
    """

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The mean of the features, weighted by alpha."""
        features, *keys = cache
        alpha = self.energies(keys, query.h).softmax(-1)
        return AttentionOutput(alpha.to(features.dtype) @ features, alpha)

    @property
    def supports_fused_loop(self) -> bool:
        """True, but for a subclass that replaces one of the methods that the fused loop replaces."""
        return all(getattr(type(self), name) is getattr(SoftAttention, name) for name in ("precompute", "energies", "forward"))

    def fused_parts(self) -> AttentionParts:
        """See `Attention.fused_parts`."""
        return AttentionParts(self.kernels, self.energy.weight[0], self.query.weight, self.key.weight, self.key.bias, self.key_mlp)
