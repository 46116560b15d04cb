"""All additive metrics of a corpus from one matrix of statistics, so that a resampled corpus is a product of matrices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from showattend.arrays import Floats
from showattend.metrics.base import AdditiveMetric, additive_metrics
from showattend.metrics.corpus import Corpus
from showattend.metrics.document_frequencies import DocumentFrequencies


@dataclass(frozen=True)
class CorpusStatistics:
    """The statistics of each photo of a corpus, for all additive metrics.

    Args:
        ids: the photos
        metrics: each with its columns of the matrix
        matrix: (N,S)
        undefined: the metrics that have no value for so few photos, with the reason
    """

    ids: Sequence[Any]
    metrics: Sequence[tuple[AdditiveMetric, slice]]
    matrix: Floats
    undefined: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """The value of each metric for the whole corpus."""
        return {name: float(value) for name, value in self.values_of_sums(self.matrix.sum(0)).items()}

    def per_photo(self) -> dict[str, Floats]:
        """The value of each metric for each photo alone, (N,). CIDEr-D keeps the document frequencies of the whole corpus."""
        return {metric.name: metric.value_of_sums(self.matrix[:, columns], 1) for metric, columns in self.metrics}

    def values_of_sums(self, sums: Floats) -> dict[str, Floats]:
        """The values of corpora that have as many photos as this one, from sums over their photos, (...,S), each (...)."""
        photos = len(self.matrix)
        return {metric.name: metric.value_of_sums(sums[..., columns], photos) for metric, columns in self.metrics}


def corpus_statistics(
    hypotheses: Mapping[Any, Sequence[str]],
    references: Mapping[Any, Sequence[Sequence[str]]],
    document_frequencies: DocumentFrequencies | None = None,
) -> CorpusStatistics:
    """Compute the statistics of all additive metrics, once for metrics that share them.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references
        document_frequencies: of a larger corpus; None: those of the references count

    Raises:
        InputError: the photos of the two are not the same.
    """
    corpus = Corpus(hypotheses, references, document_frequencies)
    metrics = additive_metrics()
    blocks: dict[Callable[[Corpus], Floats], Floats] = {}
    for metric in metrics:
        if metric.statistics not in blocks:
            blocks[metric.statistics] = metric.statistics(corpus)
    ends = dict(zip(blocks, np.cumsum([block.shape[1] for block in blocks.values()]).tolist(), strict=True))
    columns = {function: slice(ends[function] - block.shape[1], ends[function]) for function, block in blocks.items()}
    matrix = np.concatenate(list(blocks.values()), 1)
    undefined = {metric.name: reason for metric in metrics if (reason := metric.why_undefined(corpus))}
    return CorpusStatistics(corpus.ids, [(metric, columns[metric.statistics]) for metric in metrics], matrix, undefined)


def corpus_scores(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> dict[str, float]:
    """All additive metrics of a corpus by name: `bleu1` … `bleu4` and `rouge_l`, from 0 to 1, `cider_d`, from 0 to 10, and so on."""
    return corpus_statistics(hypotheses, references).values()
