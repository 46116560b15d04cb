"""Teacher forcing: captions split into inputs and targets, and tensors of tokens flattened and restored."""

import torch
from torch import Tensor

from showattend.vocabulary import PAD


def flatten_tokens(words: Tensor, mask: Tensor | None) -> Tensor:
    """The words at the places of a mask, first words first: (N,G,T) and (N,G,T) to (M,). None: those at all places."""
    time_first = words.movedim(-1, 0)
    return time_first.flatten() if mask is None else time_first[mask.movedim(-1, 0)]


def unflatten_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """What `pack` took apart: (M,) back to the places of a mask, zero elsewhere, (N,G,T)."""
    places = mask.movedim(-1, 0)
    return torch.zeros_like(places, dtype=values.dtype).masked_scatter(places, values).movedim(0, -1)


def teacher_forcing_split(captions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What teacher forcing needs of captions from `<start>` on, (N,G,T+1).

    Returns:
        the words heard, (N,G,T); `<end>` is heard by no one
        the words to be said after each, (N,G,T)
        where there is something to say, (N,G,T)
    """
    targets = captions[..., 1:]
    mask = targets != PAD
    return captions[..., :-1] * mask, targets, mask
