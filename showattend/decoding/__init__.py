"""From next-word probabilities to captions, as a `Search` asks for them; no module here knows a model or a photo."""

from showattend.decoding.config import Search
from showattend.decoding.constraints import NEVER
from showattend.decoding.ensemble import together
from showattend.decoding.generate import Hypotheses, State, StepFunction, decode

__all__ = ["NEVER", "Hypotheses", "Search", "State", "StepFunction", "decode", "together"]
