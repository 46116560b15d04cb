"""Captions as tensors for teacher forcing: inputs and targets, and the order in which the decoder computes their tokens.

Padded captions are (N,G,T): N images, G captions of each, T tokens. Flat tokens are (M,) or (M, ...): time step after time step,
and within a time step image after image. This is the order of the decoder's loop, so its results need no reordering.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from showattend.ops.unroll_plan import BatchShape
from showattend.vocabulary import PAD


def flatten_tokens(token_ids: Tensor, mask: Tensor | None) -> Tensor:
    """The tokens under a mask in flat order, (N,G,T) and (N,G,T) to (M,); without a mask all N*G*T of them."""
    time_first = token_ids.movedim(-1, 0)
    return time_first.flatten() if mask is None else time_first[mask.movedim(-1, 0)]


def unflatten_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """The inverse of `flatten_tokens`: (M,) to the positions of the mask, zero elsewhere, (N,G,T)."""
    time_first = mask.movedim(-1, 0)
    return torch.zeros_like(time_first, dtype=values.dtype).masked_scatter(time_first, values).movedim(0, -1)


def teacher_forcing_split(captions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and targets from captions that begin with `<start>` and end with `<end>`, (N,G,T+1).

    Returns:
        input_ids: all tokens but `<end>`, (N,G,T)
        target_ids: the next token of each, (N,G,T)
        mask: where there is a target, (N,G,T)
    """
    target_ids = captions[..., 1:]
    mask = target_ids != PAD
    return captions[..., :-1] * mask, target_ids, mask


@dataclass(frozen=True)
class PackedCaptions:
    """The tokens that the decoder computes: those of padded captions in flat order, without most of the padding.

    As torch's `PackedSequence`, but a time step has two sizes: the active rows are a block of images by captions, the smallest one
    that holds every caption with a token left. Little of it is padding if images with long captions come first, and the long
    captions of an image.

    Attributes:
        input_ids: M tokens, (M,)
        batch_shapes: images and captions in each of T blocks
        flat_index: position of each token in the flattened (T,N,G), (M,)
        padded_shape: (T,N,G)
    """

    input_ids: Tensor
    batch_shapes: list[BatchShape]
    flat_index: Tensor
    padded_shape: torch.Size

    @classmethod
    def pack(cls, input_ids: Tensor, *, static_shapes: bool = False) -> "PackedCaptions":
        """Pack captions (N,G,T).

        Args:
            static_shapes: keep all N*G*T tokens, so that shapes do not depend on the captions, as a CUDA graph requires
        """
        time_first = input_ids.movedim(-1, 0)
        (steps, images, rows), device = time_first.shape, input_ids.device
        batch_shapes = [(images, rows)] * steps if static_shapes else _active_batch_shapes(time_first != PAD)
        positions = torch.arange(input_ids.numel(), device=device).view(time_first.shape)
        flat_index = torch.cat([positions[t, :n, :g].flatten() for t, (n, g) in enumerate(batch_shapes)])
        return cls(time_first.flatten()[flat_index], batch_shapes, flat_index, time_first.shape)

    @property
    def mask(self) -> Tensor:
        """Which of the M tokens are no padding, (M,)."""
        return self.input_ids != PAD

    def scatter_to_padded(self, values: Tensor) -> Tensor:
        """Values of tokens (M, ...) at the places of their tokens, zero at padding: (N,G,T, ...)."""
        known = values.masked_fill(~self.mask.view(-1, *[1] * (values.dim() - 1)), 0.0)
        padded = values.new_zeros(self.padded_shape.numel(), *values.shape[1:]).index_copy(0, self.flat_index, known)
        return padded.view(*self.padded_shape, *values.shape[1:]).movedim(0, 2)


def _active_batch_shapes(mask: Tensor) -> list[BatchShape]:
    """For each time step of a mask (T,N,G) the smallest block that holds its tokens and all later ones; at least 1 by 1."""

    def needed(present: Tensor) -> list[int]:
        """Size along the last axis of (T,·) that is needed from each time step on."""
        sizes = torch.arange(1, present.shape[1] + 1, device=mask.device)
        return (present * sizes).amax(1).flip(0).cummax(0).values.flip(0).clamp(min=1).tolist()

    return list(zip(needed(mask.any(2)), needed(mask.any(1)), strict=True))
