"""All scores of a corpus, made of numbers that add up over its photos: so resampling a corpus is a product of matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from showattend.metrics.bleu import bleu_counts, bleu_of
from showattend.metrics.cider import CiderD
from showattend.metrics.ids import common_ids
from showattend.metrics.ngrams import ORDERS
from showattend.metrics.rouge import rouge_l_of

Floats = NDArray[np.float64]


class PhotoStatistics:
    """What the scores of a corpus are made of, photo by photo.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Raises:
        InputError: the photos of the two are not the same.
    """

    def __init__(self, hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> None:
        self.ids = common_ids(hypotheses, references)
        captions, corpus = [hypotheses[i] for i in self.ids], [references[i] for i in self.ids]
        cider = CiderD(corpus)
        counts = bleu_counts(captions, corpus, cider.grams)
        rouge = np.array([rouge_l_of(*pair) for pair in zip(captions, corpus, strict=True)])
        cider_d = cider.scores(range(len(captions)), captions)
        # (N,12)
        self.columns: Floats = np.column_stack((counts.correct, counts.guessed, counts.length, counts.reference, rouge, cider_d))

    def scores(self) -> dict[str, float]:
        """The scores of the whole corpus."""
        return {name: float(value) for name, value in scores_of(self.columns.sum(0), len(self.ids)).items()}

    def photo_scores(self) -> dict[str, Floats]:
        """The scores of each photo alone, (N,), in the order of `ids`. CIDEr-D keeps the document frequencies of the whole corpus."""
        return scores_of(self.columns, 1)


def scores_of(sums: Floats, photos: int) -> dict[str, Floats]:
    """Scores of corpora from the sums of their photos' statistics.

    Args:
        sums: over the photos of each corpus, (...,12)
        photos: how many each has

    Returns:
        `bleu1` … `bleu4`, `rouge_l`, from 0 to 1, and `cider_d`, from 0 to 10, each (...)
    """
    correct, guessed = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    length, reference, rouge, cider = np.moveaxis(sums[..., 2 * ORDERS :], -1, 0)
    bleu = bleu_of(correct, guessed, length, reference)
    found = {f"bleu{n}": bleu[..., n - 1] for n in range(1, ORDERS + 1)}
    return {**found, "rouge_l": rouge / max(1, photos), "cider_d": cider / max(1, photos)}


def corpus_scores(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """`bleu1` … `bleu4` and `rouge_l`, from 0 to 1, and `cider_d`, from 0 to 10; see `PhotoStatistics`."""
    return PhotoStatistics(hypotheses, references).scores()
