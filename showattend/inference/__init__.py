"""Trained models at work: captions of photos, log-probabilities of given captions, and the gates of the cell at each word."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from showattend.inference.caption import Caption, CaptionScore, Failure
from showattend.inference.generation import generation_config

if TYPE_CHECKING:
    from showattend.inference.captioner import Captioner, load
    from showattend.inference.device import choose_device
    from showattend.inference.ensemble import check_same_vocabulary
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
# The modules of the names that need torch.
TORCH = {"Captioner": "captioner", "load": "captioner", "choose_device": "device", "check_same_vocabulary": "ensemble"}
TORCH |= {"choose_precision": "precision"}


def __getattr__(name: str) -> Any:
    """Load torch only for those who need it: exported models caption without it."""
    if name in TORCH:
        return getattr(import_module(f"showattend.inference.{TORCH[name]}"), name)
    raise AttributeError(f"module 'showattend.inference' has no attribute '{name}'")
