"""Trained models at work: captions of photos, log-probabilities of given captions, and the gates of the cell at each word."""

from showattend.inference.caption import Caption, CaptionScore, Failure
from showattend.inference.captioner import Captioner, load
from showattend.inference.ensemble import check_same_vocabulary
from showattend.inference.generation import generation_config

__all__ = ["Caption", "CaptionScore", "Captioner", "Failure", "check_same_vocabulary", "generation_config", "load"]
