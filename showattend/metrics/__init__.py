"""Metrics of captions, keyed by photo: BLEU, ROUGE-L, CIDEr-D, and every other metric that a module of this folder registers.

`base.py` holds the contract of a metric. Every module of this folder is imported here, and so registers its metrics.
"""

import importlib
import pkgutil

from showattend.metrics.base import (
    AdditiveMetric,
    Metric,
    MetricScore,
    MetricUnavailable,
    additive_metrics,
    find_metric,
    monitor_choices,
    optional_metrics,
    register_metric,
    registered_metrics,
)
from showattend.metrics.bleu import bleu
from showattend.metrics.cider import CiderD, cider_d
from showattend.metrics.corpus import Corpus
from showattend.metrics.ptb import ptb_tokenize
from showattend.metrics.rouge import rouge_l
from showattend.metrics.signature import signature
from showattend.metrics.significance import Estimate, compare, intervals, mean_estimates
from showattend.metrics.statistics import CorpusStatistics, corpus_scores, corpus_statistics

__all__ = [
    "AdditiveMetric",
    "CiderD",
    "Corpus",
    "CorpusStatistics",
    "Estimate",
    "Metric",
    "MetricScore",
    "MetricUnavailable",
    "additive_metrics",
    "bleu",
    "cider_d",
    "compare",
    "corpus_scores",
    "corpus_statistics",
    "find_metric",
    "intervals",
    "mean_estimates",
    "monitor_choices",
    "optional_metrics",
    "ptb_tokenize",
    "register_metric",
    "registered_metrics",
    "rouge_l",
    "signature",
]


def import_metrics() -> None:
    """Import all modules of this folder, so that their metrics are registered."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


import_metrics()
