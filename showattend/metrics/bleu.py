"""BLEU-1 to BLEU-4, as coco-caption computes them (Papineni et al. 2002)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from showattend.arrays import Floats, Ints
from showattend.metrics.base import AdditiveMetric, register_metric
from showattend.metrics.corpus import Corpus
from showattend.metrics.ngrams import ORDERS, NgramCounts

# The official scorer's only smoothing.
TINY, SMALL = 1e-15, 1e-9


def bleu(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """BLEU-1..4 of a corpus, keyed by photo.

    Clipped counts summed over the corpus, the closest reference length with the shorter on a tie, no smoothing beyond the
    official scorer's 1e-15 and 1e-9. nltk's `corpus_bleu` gives the same except for captions of less than four words, for which it
    counts one n-gram where there is none.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        `bleu1` … `bleu4`, from 0 to 1

    Raises:
        InputError: the photos of the two are not the same.
    """
    sums = bleu_statistics(Corpus(hypotheses, references)).sum(0)
    return {f"bleu{n}": float(score) for n, score in enumerate(bleu_of_sums(sums), 1)}


def bleu_statistics(corpus: Corpus) -> Floats:
    """What BLEU needs of each photo, (N,10).

    Columns: for n from 1 to 4 the n-grams that a reference has too, each at most as often as in the reference that has it most;
    for n from 1 to 4 all n-grams; words; words of the reference nearest in length, the shorter on a tie.
    """
    photo_of_reference = np.repeat(np.arange(len(corpus)), [len(of_photo) for of_photo in corpus.references])
    pairs = zip(corpus.hypothesis_ngrams, corpus.reference_ngrams.counts, strict=True)
    correct = [_clipped_counts(hypothesis, reference, photo_of_reference, len(corpus)) for hypothesis, reference in pairs]
    lengths = np.array([len(caption) for caption in corpus.hypotheses], np.int64)
    guessed = np.maximum(0, lengths[:, None] - np.arange(ORDERS))
    nearest = [_nearest_length(length, of_photo) for length, of_photo in zip(lengths, corpus.references, strict=True)]
    return np.column_stack((*correct, guessed, lengths, np.array(nearest, np.int64))).astype(np.float64)


def bleu_of_sums(sums: Floats) -> Floats:
    """BLEU-1 to BLEU-4 of corpora from the sums of their photos' statistics, (...,10) to (...,4)."""
    correct, guessed = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    length, reference_length = sums[..., 2 * ORDERS], sums[..., 2 * ORDERS + 1]
    precisions = np.cumprod((correct + TINY) / (guessed + SMALL), -1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (length + TINY) / (reference_length + SMALL)
    scores: Floats = precisions * np.exp(np.minimum(0.0, 1 - 1 / ratio))[..., None]
    return scores


def _bleu_n(sums: Floats, photos: int, *, n: int) -> Floats:
    return bleu_of_sums(sums)[..., n - 1]


def _nearest_length(length: int, references: Sequence[Sequence[str]]) -> int:
    """The length of the reference that is nearest, the shorter one on a tie."""
    return min((abs(len(reference) - length), len(reference)) for reference in references)[1]


def _clipped_counts(hypothesis: NgramCounts, reference: NgramCounts, photo_of_reference: Ints, photos: int) -> Ints:
    """How many n-grams of each caption its references have too, (photos,)."""
    distinct, codes = np.unique(np.concatenate((hypothesis.code, reference.code)), return_inverse=True)
    keys = np.concatenate((hypothesis.caption, photo_of_reference[reference.caption])) * max(1, len(distinct)) + codes
    hypothesis_keys, reference_keys = keys[: len(hypothesis.code)], keys[len(hypothesis.code) :]
    if not len(reference_keys):
        return np.zeros(photos, np.int64)
    order = np.argsort(reference_keys, kind="stable")
    reference_keys, starts = np.unique(reference_keys[order], return_index=True)
    most = np.maximum.reduceat(reference.times[order], starts)
    index = np.minimum(np.searchsorted(reference_keys, hypothesis_keys), len(reference_keys) - 1)
    clipped = np.where(reference_keys[index] == hypothesis_keys, np.minimum(hypothesis.times, most[index]), 0)
    return np.bincount(hypothesis.caption, clipped, photos).astype(np.int64)


for _n in range(1, ORDERS + 1):
    register_metric(
        AdditiveMetric(
            name=f"bleu{_n}",
            label=f"BLEU-{_n}",
            statistics=bleu_statistics,
            value_of_sums=partial(_bleu_n, n=_n),
            listed_per_photo=_n == ORDERS,
            rank=0,
        )
    )
