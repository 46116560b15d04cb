"""How sure a score is, and whether one system is better than another."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from showattend.metrics.scores import Floats, PhotoStatistics, scores_of

# Resamples at a time: enough for the product to be fast, few enough for 100,000 photos to fit.
CHUNK = 100
RESAMPLES = 1000


class Interval(NamedTuple):
    """A percentile bootstrap interval (Efron & Tibshirani 1993)."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A mean, with its interval."""

    value: float
    interval: Interval


class Comparison(NamedTuple):
    """What one system scores more than another.

    difference: in the score
    interval: of the difference, by a paired bootstrap over photos (Koehn 2004)
    p: of a difference at least as large if the two were the same, by approximate randomisation (Noreen 1989)
    """

    difference: float
    interval: Interval
    p: float


def intervals(statistics: PhotoStatistics, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
    """An interval for each score of a corpus. CIDEr-D keeps the document frequencies of the whole corpus."""
    return _percentiles(_resampled(statistics.columns, resamples, seed), level)


def compare(
    one: PhotoStatistics, other: PhotoStatistics, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Comparison]:
    """The difference of each score of two systems on the same photos, in the same order.

    Raises:
        ValueError: the photos are not the same.
    """
    if one.ids != other.ids:
        raise ValueError("two systems can only be compared on the same photos")
    mine, theirs = one.columns, other.columns
    photos = len(one.ids)
    ours, yours = one.scores(), other.scores()
    both = _resampled(np.stack((mine, theirs)), resamples, seed)
    found = _percentiles({name: first - second for name, (first, second) in both.items()}, level)
    # Under the null hypothesis which of the two said what is a coin's choice for each photo.
    swapped = np.random.default_rng(seed).integers(0, 2, (resamples, photos)).astype(np.float64)
    moved = swapped @ (theirs - mine)
    as_one, as_other = scores_of(mine.sum(0) + moved, photos), scores_of(theirs.sum(0) - moved, photos)
    result = {}
    for name, interval in found.items():
        difference = ours[name] - yours[name]
        at_least = np.abs(as_one[name] - as_other[name]) >= abs(difference) - 1e-12
        result[name] = Comparison(difference, interval, (int(at_least.sum()) + 1) / (resamples + 1))
    return result


def mean_estimates(
    values: Floats, photos: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> list[Estimate]:
    """The mean of each of K columns over M rows, with an interval: rows of one photo are drawn together, for they are not independent.

    Args:
        values: (M,K)
        photos: the photo that each row belongs to
    """
    numbers = {photo: number for number, photo in enumerate(dict.fromkeys(photos))}
    # Of each photo the sums of its rows, and how many they are, (N,K+1).
    columns = np.zeros((len(numbers), values.shape[1] + 1))
    np.add.at(columns, [numbers[photo] for photo in photos], np.column_stack((values, np.ones(len(values)))))
    sums = resampled_sums(columns, resamples, seed)
    bounds = _percentiles({str(column): of_column for column, of_column in enumerate((sums[:, :-1] / sums[:, -1:]).T)}, level)
    return [Estimate(float(mean), interval) for mean, interval in zip(values.mean(0), bounds.values(), strict=True)]


def resampled_sums(columns: Floats, resamples: int, seed: int) -> Floats:
    """The sums over photos that are drawn with replacement from all, (...,N,K): the same ones for all systems, (...,resamples,K)."""
    draw = np.random.default_rng(seed)
    photos = columns.shape[-2]
    sums = []
    for begin in range(0, resamples, CHUNK):
        times = draw.multinomial(photos, np.full(photos, 1 / photos), min(CHUNK, resamples - begin))
        sums.append(times.astype(np.float64) @ columns)
    return np.concatenate(sums, -2)


def _resampled(columns: Floats, resamples: int, seed: int) -> dict[str, Floats]:
    """The scores of corpora drawn with replacement from the photos, (...,N,12), each (...,resamples)."""
    return scores_of(resampled_sums(columns, resamples, seed), columns.shape[-2])


def _percentiles(values: dict[str, Floats], level: float) -> dict[str, Interval]:
    tail = 50 * (1 - level)
    return {name: Interval(*map(float, np.percentile(of_name, (tail, 100 - tail)))) for name, of_name in values.items()}
