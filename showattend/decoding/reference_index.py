"""CIDEr-D of captions against people's captions of many photos, by an index of their n-grams (Vedantam et al. 2015).

A caption meets only those that have one of its n-grams, and captions that are ranked together look each n-gram up once.
"""

import torch
from torch import Tensor

from showattend.decoding.cider_d import ORDERS, TINY, count_ngrams, distinct_ngrams, is_ngram, is_word, length_factor, ngram_keys


class ReferenceIndex:
    """The captions of P photos by their n-grams, each of which weighs log(P / photos that have it in a caption).

    Args:
        token_ids: C captions of each photo, words, then `<pad>`; where a photo has fewer than C nothing but `<pad>`, (P,C,U)
    """

    def __init__(self, token_ids: Tensor) -> None:
        words = is_word(token_ids)
        self.lengths = words.sum(-1).flatten()
        self.all_lengths = torch.arange(int(self.lengths.max()) + 1, device=token_ids.device)
        # The captions of a photo share its weight.
        is_caption = words.any(-1)
        self.shares = is_caption / is_caption.sum(-1, keepdim=True).clamp(min=1)
        self.orders = [_OrderIndex(token_ids, order) for order in ORDERS]

    def agreement(self, captions: Tensor, weights: Tensor) -> Tensor:
        """The sum over the photos of their weights (P,) times the mean CIDEr-D of each of K captions (K,T) against theirs, (K,)."""
        weights = (self.shares * weights.unsqueeze(1)).flatten()
        factors = length_factor(is_word(captions).sum(-1), self.all_lengths)
        return torch.stack([index.similarity(captions, weights, self.lengths, factors) for index in self.orders]).mean(0)


class _OrderIndex:
    """The captions that have each n-gram of one order.

    Attributes:
        keys: of G n-grams, sorted, and of one that is none, (G+1,)
        idf: their weights, (G+1,); that of the last is for all that are not here
        starts, sizes: where the captions of each are among the M of all, (G+1,)
        captions, times: and how often each has it, (M,)
        norms: of the vectors of all captions, (P*C,)
    """

    def __init__(self, token_ids: Tensor, order: int) -> None:
        photos, per_photo, _ = token_ids.shape
        texts = token_ids.flatten(0, 1)
        captions, places = is_ngram(texts, order).nonzero(as_tuple=True)
        keys, by_key = ngram_keys(texts, order)[captions, places].sort(stable=True)
        captions = captions[by_key]
        # An n-gram that a caption has several times is one entry, with their number.
        firsts, self.times = _runs(keys, captions)
        keys, self.captions = keys[firsts], captions[firsts]
        # Entries of one photo stand beside each other, and those of one n-gram.
        photos_firsts, _ = _runs(keys, self.captions // per_photo)
        _, photos_counts = _runs(keys[photos_firsts])
        firsts, sizes = _runs(keys)
        self.order = order
        self.starts, self.sizes = _append(firsts, 0), _append(sizes, 0)
        self.keys = _append(keys[firsts], torch.iinfo(torch.int64).max)
        # The logarithm of a ratio: an n-gram that all photos have weighs exactly 0.
        self.idf = -(_append(photos_counts, 1) / photos).log()
        squares = (self.times * self.idf[:-1].repeat_interleave(sizes)) ** 2
        self.norms = torch.zeros(len(texts), device=texts.device).index_add_(0, self.captions, squares).sqrt().clamp(min=TINY)

    def similarity(self, captions: Tensor, weights: Tensor, lengths: Tensor, factors: Tensor) -> Tensor:
        """The weighted sum of the cosines of K captions (K,T) and all, (K,).

        Args:
            weights, lengths: of all captions, (P*C,)
            factors: of each caption, for each length from 0, (K,U)
        """
        sought = distinct_ngrams(captions, self.order)
        counts = count_ngrams(captions, sought, self.order)
        places = torch.searchsorted(self.keys[:-1], sought)
        places = places.masked_fill(self.keys[places] != sought, len(self.keys) - 1)
        idf = self.idf[places]
        # A reference's n-gram counts at most as often as the caption has it; one that captions have once, or twice, is looked up for each.
        rows, columns = counts.nonzero(as_tuple=True)
        most = captions.shape[-1] + 1
        pairs = (columns * most + counts[rows, columns].long()).unique()
        columns, times = pairs // most, pairs % most
        products = self._products(places[columns], times, weights / self.norms, lengths, factors.shape[1])
        is_own = counts[:, columns] == times
        norms = (counts * idf).norm(dim=-1).clamp(min=TINY)
        similarity: Tensor = ((is_own * idf[columns] ** 2) @ products * factors).sum(-1) / norms
        return similarity

    def _products(self, places: Tensor, times: Tensor, weights: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """The weighted products of E n-grams, of which a caption has so many, with the captions that have them, by their lengths, (E,U)."""
        sizes = self.sizes[places]
        entries, starts = torch.arange(len(places), device=places.device), self.starts[places] - (sizes.cumsum(0) - sizes)
        entries, starts, times = (values.repeat_interleave(sizes) for values in (entries, starts, times))
        found = torch.arange(len(entries), device=entries.device) + starts
        # index_select takes a tenth of the time of [].
        own, own_times = self.captions.index_select(0, found), self.times.index_select(0, found)
        values = torch.minimum(times, own_times) * own_times * weights.index_select(0, own)
        cells = entries * longest + lengths.index_select(0, own)
        return values.new_zeros(len(sizes) * longest).index_add_(0, cells, values).view(-1, longest)


def _runs(*columns: Tensor) -> tuple[Tensor, Tensor]:
    """Where runs of equal elements begin in columns (M,), and how long they are, each (R,)."""
    begins = torch.ones_like(columns[0], dtype=torch.bool)
    begins[1:] = torch.stack([column[1:] != column[:-1] for column in columns]).any(0)
    starts = begins.nonzero().squeeze(1)
    return starts, torch.diff(starts, append=starts.new_tensor([len(begins)]))


def _append(values: Tensor, last: int) -> Tensor:
    return torch.cat((values, values.new_tensor([last])))
