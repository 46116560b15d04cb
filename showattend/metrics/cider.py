"""CIDEr-D, as coco-caption computes what it calls CIDEr (Vedantam et al. 2015)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from showattend.metrics.ids import common_ids
from showattend.metrics.ngrams import ORDERS, Counts, Grams, Ints

Floats = NDArray[np.float64]
SIGMA = 6.0
SCALE = 10.0


class _Weighted(NamedTuple):
    """The n-grams of one order in all captions, by how much each says about a photo, and what the captions amount to."""

    row: Ints
    gram: Ints
    weight: Floats  # count * log(photos / photos whose references have it)
    norm: Floats  # of each caption


class CiderD:
    """CIDEr-D against fixed references, whose photos also give the document frequencies.

    Args:
        references: for each photo the tokens of each of its references
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        captions = [caption for photo in references for caption in photo]
        self.grams = Grams(captions)
        self.per_photo = np.array([len(photo) for photo in references], np.int64)
        self.first = np.concatenate(([0], np.cumsum(self.per_photo)))
        self.photos = np.log(max(1, len(references)))
        photo_of = np.repeat(np.arange(len(references)), self.per_photo)
        self.frequencies = [_document_frequencies(counts, photo_of) for counts in self.grams.counts]
        self.bigrams = _lengths(self.grams.counts[1], len(captions))
        self.references = [self._weigh(n, counts, len(captions)) for n, counts in enumerate(self.grams.counts)]
        # Where each caption's n-grams begin.
        self.begins = [np.searchsorted(order.row, np.arange(len(captions) + 1)) for order in self.references]

    def scores(self, photos: Sequence[int], captions: Sequence[Sequence[str]]) -> Floats:
        """CIDEr-D of captions, from 0 to 10.

        Args:
            photos: which of the references' photos each caption is about, (M,)
            captions: the tokens of each caption

        Returns:
            (M,)
        """
        about = np.asarray(photos, np.int64)
        counted = self.grams.count(captions)
        # A pair is a caption beside one reference of its photo.
        first, caption = _ranges(self.first[about], self.per_photo[about])
        difference = _lengths(counted[1], len(captions))[caption] - self.bigrams[first]
        similarity = np.zeros(len(caption))
        for n, counts in enumerate(counted):
            similarity += self._similarity(n, self._weigh(n, counts, len(captions)), caption, first)
        similarity *= np.exp(-(difference**2) / (2 * SIGMA**2))
        sums = np.bincount(caption, similarity, len(captions))
        return SCALE / ORDERS * sums / np.maximum(1, self.per_photo[about])

    def _weigh(self, n: int, counts: Counts, captions: int) -> _Weighted:
        grams, frequency = self.frequencies[n]
        place = np.minimum(np.searchsorted(grams, counts.gram), max(0, len(grams) - 1))
        seen = np.where(grams[place] == counts.gram, frequency[place], 1) if len(grams) else np.ones(len(counts.gram))
        weight = counts.times * (self.photos - np.log(seen))
        return _Weighted(counts.row, counts.gram, weight, np.sqrt(np.bincount(counts.row, weight**2, captions)))

    def _similarity(self, n: int, mine: _Weighted, caption: Ints, reference: Ints) -> Floats:
        """Clipped cosine of each pair."""
        theirs, begins = self.references[n], self.begins[n]
        entry, pair = _ranges(begins[reference], begins[reference + 1] - begins[reference])
        known, codes = np.unique(mine.gram, return_inverse=True)
        if not len(known) or not len(entry):
            return np.zeros(len(caption))
        # Each n-gram of the reference is looked up among those of the caption: both are sorted by caption, then n-gram.
        code = np.minimum(np.searchsorted(known, theirs.gram[entry]), len(known) - 1)
        keys = mine.row * len(known) + codes
        wanted = caption[pair] * len(known) + code
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        common = (known[code] == theirs.gram[entry]) & (keys[place] == wanted)
        entry, pair, place = entry[common], pair[common], place[common]
        products = np.bincount(pair, np.minimum(mine.weight[place], theirs.weight[entry]) * theirs.weight[entry], len(caption))
        norms = mine.norm[caption] * theirs.norm[reference]
        return products / np.where(norms > 0, norms, 1.0)


def cider_d(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> float:
    """CIDEr-D of a corpus keyed by photo, with document frequencies from these references; 0 for one photo alone.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        from 0 to 10

    Raises:
        InputError: the photos of the two are not the same.
    """
    ids = common_ids(hypotheses, references)
    if not ids:
        return 0.0
    return float(CiderD([references[i] for i in ids]).scores(range(len(ids)), [hypotheses[i] for i in ids]).mean())


def _document_frequencies(counts: Counts, photo_of: Ints) -> tuple[Ints, Ints]:
    """For each n-gram, sorted, how many photos have it in their references."""
    grams, code = np.unique(counts.gram, return_inverse=True)
    places = np.unique(photo_of[counts.row] * max(1, len(grams)) + code)
    return grams, np.bincount(places % max(1, len(grams)), minlength=len(grams))


def _lengths(bigrams: Counts, captions: int) -> Ints:
    """The length of a caption as the official scorer takes it: the number of its 2-grams."""
    return np.bincount(bigrams.row, bigrams.times, captions).astype(np.int64)


def _ranges(begins: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """begin, begin + 1, … for each range, one after the other, and which range each number belongs to."""
    which = np.repeat(np.arange(len(begins)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return np.arange(len(which)) - offsets[which] + begins[which], which
