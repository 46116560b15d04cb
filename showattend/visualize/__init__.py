"""Pictures of what a model did: where it looked (`attention`), what its gates did (`gates`), what its words hang on (`curves`);
and its scores as a page (`report`)."""

from showattend.visualize.attention import attention_figure, attention_map
from showattend.visualize.curves import curves_figure
from showattend.visualize.figures import check_format
from showattend.visualize.gates import gates_figure
from showattend.visualize.report import DiversityInputs, PhotoReport, ScoreRow, write_report

__all__ = [
    "DiversityInputs",
    "PhotoReport",
    "ScoreRow",
    "attention_figure",
    "attention_map",
    "check_format",
    "curves_figure",
    "gates_figure",
    "write_report",
]
