"""CIDEr-D between captions that are token ids, on their device, to rank them (Vedantam et al. 2015).

`metrics.cider` scores words against all references of a photo; the tests compare the two.
"""

import torch
from torch import Tensor

from showattend.vocabulary import END, PAD

# CIDEr-D's: 1-grams to 4-grams, and by how many words lengths may differ.
ORDERS, SIGMA = (1, 2, 3, 4), 6.0
# N-grams are told apart by a polynomial in their token ids, modulo 2^64.
HASH_FACTOR = 0x5851F42D4C957F2D
# What is divided by is at least this: captions of fewer words than n have no n-grams, and n-grams that all photos have weigh nothing.
TINY = 1e-8


def cider_d(captions: Tensor) -> Tensor:
    """CIDEr-D of each of C captions (C,T) against each, from 0 to 1, (C,C), where all n-grams weigh the same; `<end>` does not count."""
    similarity = torch.zeros(len(captions), len(captions), device=captions.device)
    for order in ORDERS:
        counts = count_ngrams(captions, distinct_ngrams(captions, order), order)  # (C,K)
        # Clipped as CIDEr-D does: to repeat an n-gram more often than the reference has it gains nothing.
        products = (torch.minimum(counts.unsqueeze(1), counts) * counts).sum(-1)
        norms = counts.norm(dim=-1)
        similarity += products / (norms.unsqueeze(1) * norms).clamp(min=TINY)
    lengths = is_word(captions).sum(-1)
    return similarity / len(ORDERS) * length_factor(lengths, lengths)


def length_factor(lengths: Tensor, others: Tensor) -> Tensor:
    """By how much captions agree less as their lengths (C,) differ from others (S,), (C,S)."""
    return torch.exp(-((lengths.unsqueeze(1) - others) ** 2) / (2 * SIGMA**2))


def distinct_ngrams(captions: Tensor, order: int) -> Tensor:
    """The keys of the K n-grams of `order` words that captions (C,T) have, sorted, (K,)."""
    distinct: Tensor = ngram_keys(captions, order)[is_ngram(captions, order)].unique()
    return distinct


def count_ngrams(captions: Tensor, keys: Tensor, order: int) -> Tensor:
    """How often each of K n-grams, by their sorted keys, is in each of C captions (C,T) that have no others, (C,K)."""
    counts = torch.zeros(len(captions), len(keys) + 1, device=captions.device)
    places = torch.searchsorted(keys, ngram_keys(captions, order)).masked_fill(~is_ngram(captions, order), len(keys))
    return counts.scatter_add_(1, places, torch.ones_like(places, dtype=counts.dtype))[:, :-1]


def ngram_keys(token_ids: Tensor, order: int) -> Tensor:
    """A number for the n-gram of `order` words that begins at each position of token ids (…,T), (…,T-order+1)."""
    count = max(token_ids.shape[-1] - order + 1, 0)
    keys = token_ids[..., :count].long()
    for n in range(1, order):
        keys = keys * HASH_FACTOR + token_ids[..., n : n + count]
    return keys


def is_ngram(token_ids: Tensor, order: int) -> Tensor:
    """Whether an n-gram of `order` words begins at each position, (…,T-order+1): words come first, then `<end>` or `<pad>`."""
    return is_word(token_ids)[..., order - 1 :]


def is_word(token_ids: Tensor) -> Tensor:
    """Whether each token is a word, (…,T)."""
    return (token_ids != PAD) & (token_ids != END)
