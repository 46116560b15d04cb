"""No attention: every token gets the same mean of the features."""

from torch import Tensor

from showattend.attention.base import Attention, AttentionCache, AttentionOutput, DecoderContext, register


@register("mean")
class MeanAttention(Attention):
    """z = mean_i a_i: the baseline without attention, a Show and Tell (Vinyals et al. 2015) that gets the image at every token."""

    def precompute(self, features: Tensor) -> AttentionCache:
        """The mean of the features, (N,1,D), and uniform weights, (N,1,L)."""
        return features.mean(1, keepdim=True), features.new_full(features.shape[:2], 1 / features.shape[1]).unsqueeze(1)

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The same context and alpha in every row."""
        mean, alpha = (entry.expand(-1, query.h.shape[1], -1) for entry in cache)
        return AttentionOutput(mean, alpha)
