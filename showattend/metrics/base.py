"""The contract of a metric, and the registry of all metrics.

One file in this folder adds a metric: it ends with `register_metric(...)`. The metric is then a line of `showattend evaluate`, of
its `--report` and its `--compare`, and a choice of `fit --monitor`:

    def length_statistics(corpus: Corpus) -> Floats:
        return np.array([[float(len(caption))] for caption in corpus.hypotheses])

    register_metric(AdditiveMetric(name="length", label="Length", statistics=length_statistics, limits=(0, np.inf)))
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from showattend.arrays import Floats
from showattend.errors import find_by_name
from showattend.metrics.corpus import Corpus


class MetricUnavailable(RuntimeError):
    """An optional metric cannot be computed on this machine; the message gives the reason and a remedy."""


class MetricScore(NamedTuple):
    """The value of a whole corpus, and of each of its photos alone, (N,)."""

    value: float
    per_photo: Floats


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A score of captions against their references.

    Args:
        name: key in files and of `--monitor`, such as `bleu4`
        label: name in tables, such as `BLEU-4`
        higher_is_better: the direction
        limits: the least and the greatest value
        listed_per_photo: whether tables of single photos have a column for it
        rank: position in tables; equal ranks come by name
        least_photos: a smaller corpus has no value, unless it comes with document frequencies
    """

    optional: ClassVar[bool] = False  # True: only on request, and only where `check` passes

    name: str
    label: str
    higher_is_better: bool = True
    limits: tuple[float, float] = (0.0, 1.0)
    listed_per_photo: bool = True
    rank: int = 100
    least_photos: int = 1

    @abstractmethod
    def score(self, corpus: Corpus) -> MetricScore:
        """The value of a corpus and of its photos."""

    def why_undefined(self, corpus: Corpus) -> str:
        """Why a corpus has no value; empty: it has one."""
        if len(corpus) >= self.least_photos or corpus.document_frequencies:
            return ""
        return (
            f"{self.label} is not defined for {len(corpus)} photo: it weighs words by how many photos of a corpus have them, and needs "
            f"{self.least_photos} photos, or --idf FILE with the frequencies of a larger corpus (showattend idf writes it)"
        )

    def check(self) -> None:  # noqa: B027 (most metrics need no check)
        """Check before the work that the metric can be computed on this machine.

        Raises:
            MetricUnavailable: it cannot.
        """

    def signature(self) -> dict[str, str]:
        """Fields for the signature of scores, see `signature`."""
        return {}


def mean_over_photos(sums: Floats, photos: int) -> Floats:
    """The mean of one statistic, (...,1) to (...)."""
    return sums[..., 0] / max(1, photos)


@dataclass(frozen=True, kw_only=True)
class AdditiveMetric(Metric):
    """A metric whose corpus value depends on sums over the photos only.

    Bootstrap intervals, paired comparisons and `--monitor` need no more than the sums: a resampled corpus is a product of matrices.

    Args:
        statistics: S numbers for each photo of a corpus, (N,S); metrics with the same function share its result
        value_of_sums: from sums over the photos of some corpora, (...,S), and the number of photos in each to values, (...)
    """

    statistics: Callable[[Corpus], Floats]
    value_of_sums: Callable[[Floats, int], Floats] = mean_over_photos

    def score(self, corpus: Corpus) -> MetricScore:
        """The value of a corpus and of its photos."""
        statistics = self.statistics(corpus)
        return MetricScore(float(self.value_of_sums(statistics.sum(0), len(corpus))), self.value_of_sums(statistics, 1))


_METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> None:
    """Enter a metric under its name.

    Raises:
        ValueError: the name is taken.
    """
    if metric.name in _METRICS:
        raise ValueError(f"the metric name {metric.name!r} is taken by {_METRICS[metric.name].label}")
    _METRICS[metric.name] = metric


def registered_metrics() -> list[Metric]:
    """All metrics, in the order of tables."""
    return sorted(_METRICS.values(), key=lambda metric: (metric.rank, metric.name))


def additive_metrics() -> list[AdditiveMetric]:
    """The metrics that are always computed."""
    return [metric for metric in registered_metrics() if isinstance(metric, AdditiveMetric)]


def optional_metrics() -> dict[str, Metric]:
    """The metrics that are computed on request, by name."""
    return {metric.name: metric for metric in registered_metrics() if metric.optional}


def find_metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        InputError: there is none.
    """
    return find_by_name("metric", name, _METRICS)


def monitor_choices(stage: str = "val") -> dict[str, str]:
    """Metrics that can select the best checkpoint: `val_bleu4` and so on, each with the direction of better, `max` or `min`."""
    return {f"{stage}_{metric.name}": "max" if metric.higher_is_better else "min" for metric in additive_metrics()}
