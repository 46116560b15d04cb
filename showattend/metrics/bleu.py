"""BLEU by nltk, as the official scorer does it."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from nltk.translate.bleu_score import corpus_bleu

from showattend.metrics.ids import common_ids

BLEU_WEIGHTS = [tuple(1 / n if i < n else 0.0 for i in range(n)) for n in range(1, 5)]


def bleu(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """BLEU-1..4 of a corpus, keyed by photo (Papineni et al. 2002).

    Clipped counts summed over the corpus, the closest reference length with the shorter on a tie, no smoothing beyond the
    official scorer's 1e-15 and 1e-9.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        `bleu1` … `bleu4`, from 0 to 1

    Raises:
        InputError: the photos of the two are not the same.
    """
    ids = common_ids(hypotheses, references)
    scores: Any = corpus_bleu(
        [references[i] for i in ids], [hypotheses[i] for i in ids], weights=BLEU_WEIGHTS, smoothing_function=_official
    )
    return {f"bleu{n}": float(score) for n, score in enumerate(scores, 1)}


def _official(precisions: Sequence[Fraction], **_: object) -> list[float]:
    return [(p.numerator + 1e-15) / (p.denominator + 1e-9) for p in precisions]
