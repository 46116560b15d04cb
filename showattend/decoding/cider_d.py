"""CIDEr-D between captions that are token ids, on their device and against each reference by itself, to rank them (Vedantam et al. 2015).

`metrics.cider` scores words against all references of a photo; the tests compare the two.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from showattend.vocabulary import END, PAD

# CIDEr-D's: 1-grams to 4-grams, and by how many words lengths may differ.
ORDERS, SIGMA = (1, 2, 3, 4), 6.0
# Pairs of words of captions that are compared together.
PAIRS = 2**24
# N-grams are told apart by a polynomial in their token ids, modulo 2^64.
HASH_FACTOR = 0x5851F42D4C957F2D


class InverseDocumentFrequencies:
    """The weight of each n-gram, log(P / photos of P that have it in a caption); one that no photo has weighs log P.

    Args:
        token_ids: captions of each photo, (P,C,U)
    """

    def __init__(self, token_ids: Tensor) -> None:
        self.unknown = math.log(len(token_ids))
        self.tables = {order: self._count(token_ids, order) for order in ORDERS}

    def of(self, keys: Tensor, order: int) -> Tensor:
        """The weights of n-grams of `order` words, by their keys, of any shape."""
        known, weights = self.tables[order]
        if not len(known):
            return torch.full(keys.shape, self.unknown, device=keys.device)
        places = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        return torch.where(known[places] == keys, weights[places], self.unknown)

    def _count(self, token_ids: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """The keys of all n-grams of an order, sorted, and their weights."""
        is_ngram = _is_ngram(token_ids, order).flatten(1)
        nothing = torch.iinfo(torch.int64).min
        keys = _keys(token_ids, order).flatten(1).masked_fill(~is_ngram, nothing).sort(1).values
        is_first = torch.ones_like(keys, dtype=torch.bool)
        is_first[:, 1:] = keys[:, 1:] != keys[:, :-1]
        keys, photos = keys[is_first & (keys != nothing)].unique(return_counts=True)
        return keys, self.unknown - photos.log()


def cider_d(
    captions: Tensor, references: Tensor, idf: InverseDocumentFrequencies | None = None, norms: Sequence[Tensor] | None = None
) -> Tensor:
    """CIDEr-D of each of C captions (C,T) against each of S references (S,U), from 0 to 1, (C,S); `<end>` does not count.

    Args:
        idf: None: all n-grams weigh the same
        norms: of the references, see `squared_norms`; None: they are computed
    """
    norms = norms or squared_norms(references, idf)
    similarity = torch.zeros(len(captions), len(references), device=captions.device)
    for order, references_norms in zip(ORDERS, norms, strict=True):
        known = _keys(captions, order).unique()  # the K n-grams that the captions have
        counts, references_counts = (_counts(texts, known, order) for texts in (captions, references))
        weights = idf.of(known, order) ** 2 if idf else torch.ones_like(known, dtype=torch.float32)
        # Clipped as CIDEr-D does: to repeat an n-gram more often than the reference has it gains nothing.
        clipped = torch.minimum(counts.unsqueeze(1), references_counts)  # (C,S,K)
        products = (clipped * (references_counts * weights)).sum(-1)
        captions_norms = (counts**2 * weights).sum(-1)
        similarity += products / (captions_norms.unsqueeze(1) * references_norms).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
    difference = _is_word(captions).sum(-1).unsqueeze(1) - _is_word(references).sum(-1)
    return similarity / len(ORDERS) * torch.exp(-(difference**2) / (2 * SIGMA**2))


def squared_norms(references: Tensor, idf: InverseDocumentFrequencies | None = None) -> tuple[Tensor, ...]:
    """The squared length of the vector of weighted n-grams of each of S references (S,U), for each order (S,)."""
    rows = max(1, PAIRS // max(1, references.shape[-1]) ** 2)
    norms = zip(*(_squared_norms(part, idf) for part in references.split(rows)), strict=True)
    return tuple(torch.cat(parts) for parts in norms)


def _squared_norms(references: Tensor, idf: InverseDocumentFrequencies | None) -> list[Tensor]:
    norms = []
    for order in ORDERS:
        keys, is_ngram = _keys(references, order), _is_ngram(references, order)
        same = (keys.unsqueeze(-1) == keys.unsqueeze(-2)) & (is_ngram.unsqueeze(-1) & is_ngram.unsqueeze(-2))
        weights = idf.of(keys, order) ** 2 if idf else 1.0
        # The sum over positions meets an n-gram as often as the reference has it: together that is the square of the count.
        norms.append((same.sum(-1) * weights).sum(-1, dtype=torch.float32))
    return norms


def _counts(texts: Tensor, known: Tensor, order: int) -> Tensor:
    """How often each of K known n-grams, sorted, is in each of R texts (R,T), (R,K)."""
    counts = torch.zeros(len(texts), len(known) + 1, device=texts.device)
    if len(known):
        keys = _keys(texts, order)
        places = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        others = (known[places] != keys) | ~_is_ngram(texts, order)
        counts.scatter_add_(1, places.masked_fill(others, len(known)), torch.ones_like(places, dtype=counts.dtype))
    return counts[:, :-1]


def _keys(token_ids: Tensor, order: int) -> Tensor:
    """A number for the n-gram of `order` words that begins at each position of token ids (…,T), (…,T-order+1)."""
    count = max(token_ids.shape[-1] - order + 1, 0)
    keys = token_ids[..., :count].long()
    for n in range(1, order):
        keys = keys * HASH_FACTOR + token_ids[..., n : n + count]
    return keys


def _is_ngram(token_ids: Tensor, order: int) -> Tensor:
    """Whether an n-gram of `order` words begins at each position, (…,T-order+1): words come first, then `<end>` or `<pad>`."""
    return _is_word(token_ids)[..., order - 1 :]


def _is_word(token_ids: Tensor) -> Tensor:
    return (token_ids != PAD) & (token_ids != END)
