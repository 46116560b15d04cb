"""All scores of a corpus under the names that files and logs give them."""

from collections.abc import Mapping, Sequence
from typing import Any

from showattend.metrics.bleu import bleu
from showattend.metrics.cider import cider_d
from showattend.metrics.rouge import rouge_l


def corpus_scores(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """`bleu1` … `bleu4` and `rouge_l`, from 0 to 1, and `cider_d`, from 0 to 10.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Raises:
        InputError: the photos of the two are not the same.
    """
    return {**bleu(hypotheses, references), "rouge_l": rouge_l(hypotheses, references), "cider_d": cider_d(hypotheses, references)}
