"""How good are captions? BLEU, ROUGE-L and CIDEr-D of tokens, keyed by photo; and the official scorers' tokens."""

from showattend.metrics.bleu import bleu
from showattend.metrics.cider import CiderD, cider_d
from showattend.metrics.ptb import ptb_tokenize
from showattend.metrics.rouge import rouge_l
from showattend.metrics.scores import corpus_scores

__all__ = ["CiderD", "bleu", "cider_d", "corpus_scores", "ptb_tokenize", "rouge_l"]
