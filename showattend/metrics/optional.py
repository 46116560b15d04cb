"""Metrics that need more than Python: checked before the work, and never a reason to lose the other scores."""

from collections.abc import Iterable

from showattend.metrics.base import Metric, MetricScore, MetricUnavailable
from showattend.metrics.corpus import Corpus


class OptionalScorers:
    """The optional metrics that a user requests and that work here.

    Attributes:
        usable: those that passed their check
        reasons: a line for each of the others
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self.usable: list[Metric] = []
        self.reasons: list[str] = []
        for metric in metrics:
            try:
                metric.check()
            except MetricUnavailable as error:
                self.reasons.append(f"no {metric.label}: {error}")
            else:
                self.usable.append(metric)

    def scores(self, corpus: Corpus) -> dict[str, MetricScore]:
        """The score of each usable metric by its name; one that fails now goes over to `reasons`.

        Args:
            corpus: PTB tokens, see `ptb_tokenize`
        """
        scores = {}
        for metric in tuple(self.usable):
            try:
                scores[metric.name] = metric.score(corpus)
            except MetricUnavailable as error:
                self.usable.remove(metric)
                self.reasons.append(f"no {metric.label}: {error}")
        return scores

    def signature(self) -> dict[str, str]:
        """Fields for the signature of scores: the versions of the usable metrics, then those of what they run on."""
        merged = {key: text for metric in self.usable for key, text in metric.signature().items()}
        names = [metric.name for metric in self.usable]
        return {key: merged[key] for key in sorted(merged, key=lambda key: key not in names)}
