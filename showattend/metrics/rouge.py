"""ROUGE-L, as coco-caption computes it (Lin 2004)."""

from collections.abc import Mapping, Sequence
from typing import Any

from showattend.metrics.ids import common_ids

BETA = 1.2  # how much more recall counts


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
    ids = common_ids(hypotheses, references)
    return sum(rouge_l_of(hypotheses[i], references[i]) for i in ids) / max(1, len(ids))


def rouge_l_of(caption: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F-measure of the longest common subsequence; the best precision and the best recall may come from different references."""
    # The official scorer splits strings, and finds one empty word in an empty caption.
    said = caption or [""]
    places = _places(said)
    pairs = [(longest_common(places, len(said), reference or [""]), len(reference) or 1) for reference in references]
    precision = max(common for common, _ in pairs) / len(said)
    recall = max(common / length for common, length in pairs)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _places(caption: Sequence[str]) -> dict[str, int]:
    """Where each word stands, as the bits of a number."""
    places: dict[str, int] = {}
    for place, word in enumerate(caption):
        places[word] = places.get(word, 0) | 1 << place
    return places


def longest_common(places: Mapping[str, int], length: int, other: Sequence[str]) -> int:
    """Length of the longest common subsequence of a caption, as `places`, and another (Hyyrö 2004: a row of the table is a number)."""
    row = every = (1 << length) - 1
    for word in other:
        found = row & places.get(word, 0)
        row = ((row + found) | (row - found)) & every
    return length - row.bit_count()
