"""Does alpha look at what the word names (`measures`), and does the word hang on what it looked at (`faithfulness`)?"""

from showattend.grounding.faithfulness import SHARES, curves
from showattend.grounding.measures import MEASURES, points_at
from showattend.grounding.mentions import MEASURED, NO_BOX, OUT_OF_SIGHT, Mention
from showattend.grounding.summary import CurveSummary, Summary, summarize, summarize_curves

__all__ = [
    "MEASURED",
    "MEASURES",
    "NO_BOX",
    "OUT_OF_SIGHT",
    "SHARES",
    "CurveSummary",
    "Mention",
    "Summary",
    "curves",
    "points_at",
    "summarize",
    "summarize_curves",
]
