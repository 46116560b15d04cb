"""Hard attention: one location for each token, sampled by alpha in training (Xu et al. 2015, section 4.1)."""

from typing import ClassVar

import torch
from torch import Tensor

from showattend.attention.additive import AdditiveAttention
from showattend.attention.base import AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, register
from showattend.errors import InputError, unknown_name

MODES = ("expected", "argmax", "sample")


@register("hard")
class HardAttention(AdditiveAttention):
    """s_t ~ Multinoulli(alpha_t), z_t = a_{s_t}, with alpha as in soft attention (Xu et al. 2015, eq. 8-9).

    In training each image uses, with probability `expected`, the expected features of soft attention for the whole caption, and
    the gradient flows as there (the paper decides per image, the authors' code per batch). For the other images
    `AttentionOutput.sampled_log_prob` holds what REINFORCE needs, see `training.reinforce`.

    Args:
        expected: probability that an image trains with the expected features
        mode: outside training: expected (as the authors' code), argmax or sample
        gain, layers: see `AdditiveAttention`

    Raises:
        InputError: `expected` is no probability, or the mode is unknown.
    """

    samples_locations: ClassVar[bool] = True

    def __init__(self, sizes: AttentionSizes, *, expected: float = 0.5, mode: str = "expected", gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes, gain=gain, layers=layers)
        if not 0 <= expected <= 1:
            raise InputError(f"the attention's option expected is {expected}: give a share from 0 to 1")
        self.expected = expected
        self.set_inference_mode(mode)

    def set_inference_mode(self, mode: str) -> None:
        """Choose the context outside training: expected, argmax or sample.

        Raises:
            InputError: the mode is unknown.
        """
        if mode not in MODES:
            raise unknown_name("attention mode", mode, MODES)
        self.mode = mode

    def precompute(self, features: Tensor) -> AttentionCache:
        """As `AdditiveAttention.precompute`, and for each image whether it uses the expected features, (N,1)."""
        if self.training:
            use_expected = torch.rand(features.shape[0], 1, device=features.device) < self.expected
        else:
            use_expected = features.new_full((features.shape[0], 1), self.mode == "expected", dtype=torch.bool)
        return *super().precompute(features), use_expected

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """The features of one location for each row, or their expectation for the images that use it."""
        features, *keys, use_expected = cache
        log_alpha = self.energies(keys, query.h).log_softmax(-1)
        alpha = log_alpha.exp()
        expected = alpha.to(features.dtype) @ features
        if not self.training and self.mode == "expected":
            return AttentionOutput(expected, alpha)
        location = self._choose_location(alpha)
        chosen = features.gather(1, location.expand(-1, -1, features.shape[-1]))
        context = torch.where(use_expected.unsqueeze(-1), expected, chosen)
        sampled_log_prob = log_alpha.gather(-1, location).squeeze(-1).masked_fill(use_expected, 0.0)
        return AttentionOutput(context, alpha, sampled_log_prob, None if self.training else location.squeeze(-1))

    def _choose_location(self, alpha: Tensor) -> Tensor:
        """Indices of locations, (N,G,L) to (N,G,1)."""
        if self.training or self.mode == "sample":
            return alpha.detach().flatten(0, 1).multinomial(1).view(*alpha.shape[:2], 1)
        return alpha.argmax(-1, keepdim=True)
