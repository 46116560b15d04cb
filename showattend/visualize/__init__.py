"""Figures of attention maps, of a cell's gates and of deletion and insertion curves; and the HTML report of an evaluation."""

from showattend.visualize.attention import attention_figure, attention_map
from showattend.visualize.curves import curves_figure
from showattend.visualize.figures import check_format, save_figure
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
    "save_figure",
    "write_report",
]
