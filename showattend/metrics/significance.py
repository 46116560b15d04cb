"""Bootstrap intervals of scores, and significance tests between two systems on the same photos."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from showattend.arrays import Floats
from showattend.metrics.statistics import CorpusStatistics

# Resamples at a time: enough for the product to be fast, few enough for 100,000 photos to fit.
CHUNK = 100
RESAMPLES = 1000
Key = TypeVar("Key")


class Interval(NamedTuple):
    """A percentile bootstrap interval (Efron & Tibshirani 1993)."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A mean, with its interval."""

    value: float
    interval: Interval


class Comparison(NamedTuple):
    """The difference between the scores of two systems.

    difference: in the score
    interval: of the difference, by a paired bootstrap over photos (Koehn 2004)
    p: of a difference at least as large if the two were the same, by approximate randomisation (Noreen 1989)
    """

    difference: float
    interval: Interval
    p: float


def intervals(statistics: CorpusStatistics, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
    """An interval for each score of a corpus. CIDEr-D keeps the document frequencies of the whole corpus."""
    resampled = statistics.values_of_sums(resampled_sums(statistics.matrix, resamples, seed))
    return _percentiles(resampled, level)


def compare(
    first: CorpusStatistics, second: CorpusStatistics, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Comparison]:
    """The difference, first less second, of each score of two systems on the same photos, in the same order.

    Raises:
        ValueError: the photos are not the same.
    """
    if first.ids != second.ids:
        raise ValueError("two systems can only be compared on the same photos")
    resampled = first.values_of_sums(resampled_sums(np.stack((first.matrix, second.matrix)), resamples, seed))
    bounds = _percentiles({name: values[0] - values[1] for name, values in resampled.items()}, level)
    first_values, second_values = first.values(), second.values()
    differences = {name: first_values[name] - second_values[name] for name in bounds}
    swapped = _swapped_differences(first, second, resamples, seed)
    result = {}
    for name, difference in differences.items():
        at_least = np.abs(swapped[name]) >= abs(difference) - 1e-12
        result[name] = Comparison(difference, bounds[name], (int(at_least.sum()) + 1) / (resamples + 1))
    return result


def mean_estimates(
    values: Floats, photos: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> list[Estimate]:
    """The mean of each of K columns over M rows, with an interval.

    Rows of one photo are drawn together, for they are not independent.

    Args:
        values: (M,K)
        photos: the photo that each row belongs to
    """
    index = {photo: position for position, photo in enumerate(dict.fromkeys(photos))}
    # For each photo the sums of its rows, and how many they are, (N,K+1).
    statistics = np.zeros((len(index), values.shape[1] + 1))
    np.add.at(statistics, [index[photo] for photo in photos], np.column_stack((values, np.ones(len(values)))))
    sums = resampled_sums(statistics, resamples, seed)
    bounds = _percentiles(dict(enumerate((sums[:, :-1] / sums[:, -1:]).T)), level)
    return [Estimate(float(mean), interval) for mean, interval in zip(values.mean(0), bounds.values(), strict=True)]


def resampled_sums(statistics: Floats, resamples: int, seed: int) -> Floats:
    """Sums over photos that are drawn with replacement from all, the same ones for all systems, (...,N,S) to (...,resamples,S)."""
    rng = np.random.default_rng(seed)
    photos = statistics.shape[-2]
    sums = []
    for start in range(0, resamples, CHUNK):
        counts = rng.multinomial(photos, np.full(photos, 1 / photos), min(CHUNK, resamples - start))
        sums.append(counts.astype(np.float64) @ statistics)
    return np.concatenate(sums, -2)


def _swapped_differences(first: CorpusStatistics, second: CorpusStatistics, resamples: int, seed: int) -> dict[str, Floats]:
    """The differences, each (resamples,), if a fair coin decides for each photo which system gave which caption."""
    rng, change = np.random.default_rng(seed), second.matrix - first.matrix
    rows = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    moved = np.concatenate([rng.integers(0, 2, (count, len(change))).astype(np.float64) @ change for count in rows])
    first_values = first.values_of_sums(first.matrix.sum(0) + moved)
    second_values = first.values_of_sums(second.matrix.sum(0) - moved)
    return {name: values - second_values[name] for name, values in first_values.items()}


def _percentiles(values: Mapping[Key, Floats], level: float) -> dict[Key, Interval]:
    tail = 50 * (1 - level)
    return {key: Interval(*map(float, np.percentile(of_key, (tail, 100 - tail)))) for key, of_key in values.items()}
