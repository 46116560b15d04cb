"""From next-word probabilities to captions, as a `Search` asks for them; no module here knows a model or a photo."""

from showattend.decoding.ensemble import together
from showattend.decoding.limits import NEVER
from showattend.decoding.loop import Hypotheses, State, StepFunction, decode
from showattend.decoding.search import Search

__all__ = ["NEVER", "Hypotheses", "Search", "State", "StepFunction", "decode", "together"]
