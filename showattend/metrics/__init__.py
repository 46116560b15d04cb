"""How good are captions? BLEU and CIDEr-D of tokens, keyed by photo."""

from showattend.metrics.bleu import bleu
from showattend.metrics.cider import CiderD, cider_d
from showattend.metrics.scores import corpus_scores

__all__ = ["CiderD", "bleu", "cider_d", "corpus_scores"]
