"""How good are captions? BLEU, ROUGE-L and CIDEr-D of tokens, keyed by photo; and the official scorers' tokens."""

from showattend.metrics.bleu import bleu
from showattend.metrics.cider import CiderD, cider_d
from showattend.metrics.ptb import ptb_tokenize
from showattend.metrics.rouge import rouge_l
from showattend.metrics.scores import PhotoStatistics, corpus_scores
from showattend.metrics.signature import signature
from showattend.metrics.significance import Estimate, compare, intervals, mean_estimates

__all__ = [
    "CiderD",
    "Estimate",
    "PhotoStatistics",
    "bleu",
    "cider_d",
    "compare",
    "corpus_scores",
    "intervals",
    "mean_estimates",
    "ptb_tokenize",
    "rouge_l",
    "signature",
]
