"""Trained models at work: captions of photos, log-probabilities of given captions, and the gates of the cell at each word."""

from showattend.inference.caption import Caption, CaptionScore, Failure
from showattend.inference.captioner import Captioner, load

__all__ = ["Caption", "CaptionScore", "Captioner", "Failure", "load"]
