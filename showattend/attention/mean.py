"""No attention: the decoder sees the same mean annotation at every word."""

from torch import Tensor

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, DecoderContext, register


@register("mean")
class MeanAttention(Attention):
    """z = mean_i a_i: the model without attention, a Show and Tell (Vinyals et al. 2015) that sees the photo at every word."""

    def precompute(self, features: Tensor) -> AttentionCache:
        """The mean annotation, (N,1,D), and the weights that it has, (N,1,L)."""
        return features.mean(1, keepdim=True), features.new_full(features.shape[:2], 1 / features.shape[1]).unsqueeze(1)

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The same for all."""
        mean, alpha = (entry.expand(-1, query.h.shape[1], -1) for entry in memory)
        return AttentionOutput(mean, alpha)
