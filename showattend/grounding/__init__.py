"""Grounding of attention: alpha against boxes (`measures`), deletion and insertion curves (`faithfulness`), entropy (`sharpness`).

For pictures of shapes, captions and alphas are compared with the scenes that were drawn (`scenes`).
"""

from showattend.grounding.faithfulness import SHARES, Curves, faithfulness_curves
from showattend.grounding.measures import MEASURES, points_at
from showattend.grounding.mentions import MEASURED, NO_BOX, OUTSIDE_CROP, Mention
from showattend.grounding.scenes import SceneScores, compare_with_scenes
from showattend.grounding.sharpness import Sharpness, summarize_sharpness
from showattend.grounding.summary import CurveSummary, GroundingSummary, summarize, summarize_curves

__all__ = [
    "MEASURED",
    "MEASURES",
    "NO_BOX",
    "OUTSIDE_CROP",
    "SHARES",
    "CurveSummary",
    "Curves",
    "GroundingSummary",
    "Mention",
    "SceneScores",
    "Sharpness",
    "compare_with_scenes",
    "faithfulness_curves",
    "points_at",
    "summarize",
    "summarize_curves",
    "summarize_sharpness",
]
