"""N-grams as numbers, so that counting them is sorting."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ORDERS = 4  # 1-grams to 4-grams
# Two numbers below this make one of 63 bits.
HALF = 31


class Counts(NamedTuple):
    """How often each n-gram occurs in each caption, sorted by caption.

    row: the caption
    gram: the n-gram's code
    times: how often
    """

    row: Ints
    gram: Ints
    times: Ints


class Grams:
    """Codes for n-grams, the same for every caption that is counted after the first ones.

    A 1-gram is its word's number, a 2-gram a pair of words, a 3-gram and a 4-gram a pair of a 2-gram's number and what follows:
    so a code never collides, whatever the size of the vocabulary.
    """

    def __init__(self, captions: Iterable[Sequence[str]]) -> None:
        self.words: dict[str, int] = {}
        self.pairs = np.zeros(0, np.int64)
        words, rows = self._flatten(list(captions))
        self.pairs = np.unique(_pair(words[:-1], words[1:]))
        self.counts = self._count(words, rows)

    def count(self, captions: Sequence[Sequence[str]]) -> list[Counts]:
        """The n-grams of captions, for n from 1 to 4."""
        return self._count(*self._flatten(captions))

    def _count(self, words: Ints, rows: Ints) -> list[Counts]:
        pairs = self._number(_pair(words[:-1], words[1:]))
        found = []
        for n, grams in enumerate((words, pairs, _pair(pairs[:-1], words[2:]), _pair(pairs[:-2], pairs[2:])), 1):
            inside = rows[: len(grams)] == rows[n - 1 :][: len(grams)]  # no n-gram reaches into the next caption
            found.append(_count(rows[: len(grams)][inside], grams[inside]))
        return found

    def _flatten(self, captions: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
        """The words of all captions in a row as numbers, and which caption each belongs to."""
        number = self.words
        words = np.fromiter((number.setdefault(word, len(number)) for caption in captions for word in caption), np.int64)
        return words, np.repeat(np.arange(len(captions)), [len(caption) for caption in captions])

    def _number(self, codes: Ints) -> Ints:
        """Small numbers for 2-grams: a known one's is its place, new ones get the next."""
        if not len(codes):
            return codes
        place = np.searchsorted(self.pairs, codes)
        known = np.zeros(len(codes), bool)
        inside = place < len(self.pairs)
        known[inside] = self.pairs[place[inside]] == codes[inside]
        new = np.unique(codes[~known], return_inverse=True)[1]
        place[~known] = len(self.pairs) + new
        return place


def _pair(first: Ints, second: Ints) -> Ints:
    return (first[: len(second)] << HALF) | second[: len(first)]


def _count(rows: Ints, grams: Ints) -> Counts:
    known, gram = np.unique(grams, return_inverse=True)
    places, counts = np.unique(rows * max(1, len(known)) + gram, return_counts=True)
    row, gram = np.divmod(places, max(1, len(known)))
    return Counts(row, known[gram], counts)
