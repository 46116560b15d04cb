"""ROUGE-L, as coco-caption computes it (Lin 2004)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from showattend.arrays import Floats
from showattend.metrics.base import AdditiveMetric, register_metric
from showattend.metrics.corpus import Corpus

BETA = 1.2  # how much more recall counts than precision


def rouge_l(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> float:
    """Mean ROUGE-L of a corpus keyed by photo.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        from 0 to 1

    Raises:
        InputError: the photos of the two are not the same.
    """
    corpus = Corpus(hypotheses, references)
    return sum(map(rouge_l_of, corpus.hypotheses, corpus.references)) / max(1, len(corpus))


def rouge_l_of(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F-measure of the longest common subsequence; the best precision and the best recall may come from different references."""
    # The official scorer splits strings, and gets one empty word from an empty caption.
    hypothesis = hypothesis or [""]
    bits = _position_bits(hypothesis)
    pairs = [(longest_common(bits, len(hypothesis), reference or [""]), len(reference) or 1) for reference in references]
    precision = max(common for common, _ in pairs) / len(hypothesis)
    recall = max(common / length for common, length in pairs)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def rouge_l_statistics(corpus: Corpus) -> Floats:
    """ROUGE-L of each photo, (N,1)."""
    return np.array([[rouge_l_of(*pair)] for pair in zip(corpus.hypotheses, corpus.references, strict=True)]).reshape(-1, 1)


def _position_bits(caption: Sequence[str]) -> dict[str, int]:
    """The positions of each word in a caption, as the bits of an integer."""
    bits: dict[str, int] = {}
    for position, word in enumerate(caption):
        bits[word] = bits.get(word, 0) | 1 << position
    return bits


def longest_common(bits: Mapping[str, int], length: int, other: Sequence[str]) -> int:
    """Length of the longest common subsequence of a caption, as `_position_bits`, and another.

    Hyyrö 2004: a row of the dynamic-programming table is one integer.
    """
    row = every = (1 << length) - 1
    for word in other:
        matches = row & bits.get(word, 0)
        row = ((row + matches) | (row - matches)) & every
    return length - row.bit_count()


register_metric(AdditiveMetric(name="rouge_l", label="ROUGE-L", statistics=rouge_l_statistics, rank=1))
