"""N-grams as integers, so that counting them is sorting."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from showattend.arrays import Ints

ORDERS = 4  # 1-grams to 4-grams
# Two integers below 2^31 make one of 63 bits.
HALF = 31


class NgramCounts(NamedTuple):
    """How often each n-gram of one order occurs in each caption, sorted by caption, then by code.

    caption: index of the caption, (M,)
    code: integer of the n-gram, (M,)
    times: how often the caption has it, (M,)
    """

    caption: Ints
    code: Ints
    times: Ints


class NgramIndex:
    """Codes for n-grams, the same for every caption that is counted later.

    The code of a 1-gram is its word's id, of a 2-gram a pair of word ids, of a 3-gram or 4-gram a pair of a 2-gram's id and what
    follows. Codes of different n-grams never collide, whatever the size of the vocabulary.

    Args:
        captions: tokens, whose n-grams are in `counts`, for n from 1 to 4
    """

    def __init__(self, captions: Iterable[Sequence[str]]) -> None:
        self.word_ids: dict[str, int] = {}
        self.bigrams = np.zeros(0, np.int64)
        words, captions_of_words = self._flatten(list(captions))
        self.bigrams = np.unique(_pair(words[:-1], words[1:]))
        self.counts = self._count(words, captions_of_words)

    def count(self, captions: Sequence[Sequence[str]]) -> list[NgramCounts]:
        """The n-grams of captions, for n from 1 to 4."""
        return self._count(*self._flatten(captions))

    def _count(self, words: Ints, captions: Ints) -> list[NgramCounts]:
        bigrams = self._bigram_ids(_pair(words[:-1], words[1:]))
        counts = []
        for n, codes in enumerate((words, bigrams, _pair(bigrams[:-1], words[2:]), _pair(bigrams[:-2], bigrams[2:])), 1):
            inside = captions[: len(codes)] == captions[n - 1 :][: len(codes)]  # no n-gram reaches into the next caption
            counts.append(_count(captions[: len(codes)][inside], codes[inside]))
        return counts

    def _flatten(self, captions: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
        """The word ids of all captions, one after the other, and the index of the caption that each belongs to."""
        ids = self.word_ids
        words = np.fromiter((ids.setdefault(word, len(ids)) for caption in captions for word in caption), np.int64)
        return words, np.repeat(np.arange(len(captions)), [len(caption) for caption in captions])

    def _bigram_ids(self, codes: Ints) -> Ints:
        """Small ids for 2-grams: the index in `bigrams` for a known one, the next integers for new ones."""
        if not len(codes):
            return codes
        ids = np.searchsorted(self.bigrams, codes)
        known = np.zeros(len(codes), bool)
        inside = ids < len(self.bigrams)
        known[inside] = self.bigrams[ids[inside]] == codes[inside]
        ids[~known] = len(self.bigrams) + np.unique(codes[~known], return_inverse=True)[1]
        return ids


def _pair(first: Ints, second: Ints) -> Ints:
    return (first[: len(second)] << HALF) | second[: len(first)]


def _count(captions: Ints, codes: Ints) -> NgramCounts:
    distinct, index = np.unique(codes, return_inverse=True)
    keys, counts = np.unique(captions * max(1, len(distinct)) + index, return_counts=True)
    caption, index = np.divmod(keys, max(1, len(distinct)))
    return NgramCounts(caption, distinct[index], counts)
