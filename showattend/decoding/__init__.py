"""From next-token probabilities to captions, as a `GenerationConfig` asks for them; no module here knows a model or a photo."""

from showattend.decoding.config import GenerationConfig
from showattend.decoding.constraints import FORBIDDEN_IDS
from showattend.decoding.ensemble import ensemble_step
from showattend.decoding.generation import Hypotheses, State, StepFunction, generate

__all__ = ["FORBIDDEN_IDS", "GenerationConfig", "Hypotheses", "State", "StepFunction", "ensemble_step", "generate"]
