"""Diversity of captions: words, n-grams, and captions that are in no training set."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from showattend.metrics.corpus import Tokens


def distinct(captions: Iterable[Tokens], n: int) -> float:
    """Distinct-n: different n-grams over all n-grams (Li et al. 2016); 0 where there is none."""
    ngrams = [tuple(words[start : start + n]) for words in captions for start in range(len(words) - n + 1)]
    return len(set(ngrams)) / max(1, len(ngrams))


def vocabulary_size(captions: Iterable[Tokens]) -> int:
    """How many different words the captions use."""
    return len({word for words in captions for word in words})


def share_different(captions: Sequence[Tokens]) -> float:
    """Different captions over all captions."""
    return len(set(map(tuple, captions))) / max(1, len(captions))


def share_repeated(captions: Sequence[Tokens]) -> float:
    """The share of captions that are those of another photo too, word for word."""
    counts = Counter(map(tuple, captions))
    return sum(count for count in counts.values() if count > 1) / max(1, len(captions))


def share_new(captions: Sequence[Tokens], training: Collection[Tokens]) -> float:
    """The share of captions that are, word for word, none of the training captions."""
    known = set(map(tuple, training))
    return sum(tuple(words) not in known for words in captions) / max(1, len(captions))
