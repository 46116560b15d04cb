"""Trained models at work: captions of photos, log-probabilities of given captions, and the gates of the cell at each word."""

from showattend.inference.caption import Caption, CaptionScore, Failure
from showattend.inference.captioner import Captioner, load
from showattend.inference.device import choose_device
from showattend.inference.ensemble import check_same_vocabulary
from showattend.inference.generation import generation_config
from showattend.inference.precision import choose_precision

__all__ = [
    "Caption",
    "CaptionScore",
    "Captioner",
    "Failure",
    "check_same_vocabulary",
    "choose_device",
    "choose_precision",
    "generation_config",
    "load",
]
