"""Hard attention: one location for each word, drawn by alpha while it learns."""

import torch
from torch import Tensor

from showattend.attention.additive import SoftAttention
from showattend.attention.base import AttentionCache, AttentionOutput, DecoderContext, Sizes, register
from showattend.errors import InputError, unknown_name

MODES = ("expected", "argmax", "sample")


@register("hard")
class HardAttention(SoftAttention):
    """s_t ~ Multinoulli(alpha_t), z = a_{s_t}, with alpha as in `soft` (Xu et al. 2015, section 4.1, eq. 8-9).

    In training each photo is given, with probability `expected`, the expected annotation instead of a drawn one, for the
    whole caption (the paper: for an image; the authors' code: for a batch). The gradient then flows as in soft attention.
    Drawn locations are told by `Look.choice`, for `losses.reinforce_loss`.

    Args:
        expected: share of the photos in a batch that train with the expected annotation
        mode: outside training: expected (as the authors' code), argmax or sample
        gain, layers: as `soft`
    """

    def __init__(self, sizes: Sizes, *, expected: float = 0.5, mode: str = "expected", gain: float = 1.0, layers: int = 1) -> None:
        super().__init__(sizes, gain=gain, layers=layers)
        if not 0 <= expected <= 1:
            raise InputError(f"the attention's option expected is {expected}: give a share from 0 to 1")
        self.expected = expected
        self.set_inference_mode(mode)

    def set_inference_mode(self, mode: str) -> None:
        """Choose the context vector outside training: expected, argmax or sample.

        Raises:
            InputError: no such mode.
        """
        if mode not in MODES:
            raise unknown_name("attention mode", mode, MODES)
        self.mode = mode

    def precompute(self, features: Tensor) -> AttentionCache:
        """As `soft`; and for each photo whether it is looked at as expected, (N,1)."""
        if self.training:
            expected = torch.rand(features.shape[0], 1, device=features.device) < self.expected
        else:
            expected = features.new_full((features.shape[0], 1), self.mode == "expected", dtype=torch.bool)
        return *super().precompute(features), expected

    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Pick an annotation for each row, or mix them where the photo is looked at as expected."""
        features, *keys, expected = memory
        log_alpha = self.energies(keys, query.h).log_softmax(-1)
        alpha = log_alpha.exp()
        mixed = alpha.to(features.dtype) @ features
        if not self.training and self.mode == "expected":
            return AttentionOutput(mixed, alpha)
        if self.training or self.mode == "sample":
            place = alpha.detach().flatten(0, 1).multinomial(1).view(*alpha.shape[:2], 1)
        else:
            place = alpha.argmax(-1, keepdim=True)
        picked = features.gather(1, place.expand(-1, -1, features.shape[-1]))
        context = torch.where(expected.unsqueeze(-1), mixed, picked)
        return AttentionOutput(context, alpha, log_alpha.gather(-1, place).squeeze(-1).masked_fill(expected, 0.0))
