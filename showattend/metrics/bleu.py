"""BLEU, as coco-caption computes it (Papineni et al. 2002)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from showattend.metrics.ids import common_ids
from showattend.metrics.ngrams import ORDERS, Counts, Grams, Ints

# The official scorer's only smoothing.
TINY, SMALL = 1e-15, 1e-9
Floats = NDArray[np.float64]


class BleuCounts(NamedTuple):
    """What BLEU knows of each of N captions: a corpus is their sum.

    correct: n-grams that a reference has too, each as often as in the one that has it most, (N,4)
    guessed: n-grams, (N,4)
    length: words, (N,)
    reference: words of the reference nearest in length, the shorter on a tie, (N,)
    """

    correct: Ints
    guessed: Ints
    length: Ints
    reference: Ints


def bleu_counts(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], grams: Grams | None = None
) -> BleuCounts:
    """Count.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of the photo's references
        grams: of these references, where they are counted already
    """
    grams = grams or Grams(caption for photo in references for caption in photo)
    photo_of = np.repeat(np.arange(len(references)), [len(photo) for photo in references])
    pairs = zip(grams.counts, grams.count(hypotheses), strict=True)
    correct = [_clipped(mine, theirs, photo_of, len(hypotheses)) for theirs, mine in pairs]
    length = np.array([len(hypothesis) for hypothesis in hypotheses], np.int64)
    # The difference first, then the length: the smaller of two pairs is the nearer reference.
    nearest = [min((abs(len(one) - mine), len(one)) for one in photo)[1] for photo, mine in zip(references, length, strict=True)]
    guessed = np.maximum(0, length[:, None] - np.arange(ORDERS))
    return BleuCounts(np.stack(correct, 1), guessed, length, np.array(nearest, np.int64))


def bleu_of(correct: Floats, guessed: Floats, length: Floats, reference: Floats) -> Floats:
    """BLEU-1 to BLEU-4 of corpora from the sums of their counts, (...,4), (...,4), (...) and (...); (...,4)."""
    means = np.cumprod((correct + TINY) / (guessed + SMALL), -1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (length + TINY) / (reference + SMALL)
    scores: Floats = means * np.exp(np.minimum(0.0, 1 - 1 / ratio))[..., None]
    return scores


def bleu(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """BLEU-1..4 of a corpus, keyed by photo.

    Clipped counts summed over the corpus, the closest reference length with the shorter on a tie, no smoothing beyond the
    official scorer's 1e-15 and 1e-9. nltk's `corpus_bleu` is the same but for captions of less than four words, for which it
    counts one n-gram where there is none.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        `bleu1` … `bleu4`, from 0 to 1

    Raises:
        InputError: the photos of the two are not the same.
    """
    ids = common_ids(hypotheses, references)
    counts = bleu_counts([hypotheses[i] for i in ids], [references[i] for i in ids])
    scores = bleu_of(*(of_photos.sum(0) for of_photos in counts))
    return {f"bleu{n}": float(score) for n, score in enumerate(scores, 1)}


def _clipped(mine: Counts, theirs: Counts, photo_of: Ints, photos: int) -> Ints:
    """How many n-grams of each caption its references have too, (photos,)."""
    known, codes = np.unique(np.concatenate((mine.gram, theirs.gram)), return_inverse=True)
    keys = np.concatenate((mine.row, photo_of[theirs.row])) * max(1, len(known)) + codes
    wanted, there = keys[: len(mine.row)], keys[len(mine.row) :]
    if not len(there):
        return np.zeros(photos, np.int64)
    order = np.argsort(there, kind="stable")
    distinct, first = np.unique(there[order], return_index=True)
    most = np.maximum.reduceat(theirs.times[order], first)
    place = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    common = np.where(distinct[place] == wanted, np.minimum(mine.times, most[place]), 0)
    return np.bincount(mine.row, common, photos).astype(np.int64)
