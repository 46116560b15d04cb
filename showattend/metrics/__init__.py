"""How good are captions? BLEU, ROUGE-L and CIDEr-D of tokens, keyed by photo; and the official scorers' tokens."""

from showattend.metrics.bleu import bleu
from showattend.metrics.cider import CiderD, cider_d
from showattend.metrics.ptb import ptb_tokenize
from showattend.metrics.rouge import rouge_l
from showattend.metrics.scores import PhotoStatistics, corpus_scores
from showattend.metrics.significance import compare, intervals

__all__ = ["CiderD", "PhotoStatistics", "bleu", "cider_d", "compare", "corpus_scores", "intervals", "ptb_tokenize", "rouge_l"]
