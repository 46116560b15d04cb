"""From next-token probabilities to captions, by the options of a `GenerationConfig`; nothing here depends on a model or a photo."""

from showattend.decoding.ensemble import ensemble_step
from showattend.decoding.generation import Hypotheses, State, StepFunction, generate
from showattend.decoding.search import search
from showattend.generation_config import GenerationConfig

__all__ = ["GenerationConfig", "Hypotheses", "State", "StepFunction", "ensemble_step", "generate", "search"]
