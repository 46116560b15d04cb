"""Attention maps as figures, animations and the viewer; figures of gates and of curves; the HTML report of an evaluation."""

from showattend.visualize.attention import attention_figure, captions_figure
from showattend.visualize.curves import curves_figure
from showattend.visualize.figures import check_format, save_figure
from showattend.visualize.gates import gates_figure
from showattend.visualize.maps import attention_map, photo_of
from showattend.visualize.options import STYLES, UPSAMPLINGS, DrawingOptions
from showattend.visualize.outputs import ENDINGS, check_ending, write_attention
from showattend.visualize.report import DiversityInputs, PhotoReport, ScoreRow, write_report
from showattend.visualize.run_history import RunHistory, read_run
from showattend.visualize.run_report import write_run_report
from showattend.visualize.viewer import IndexEntry, frame, index_page, notebook_html, photo_data, viewer_data, viewer_frame, viewer_page

__all__ = [
    "ENDINGS",
    "STYLES",
    "UPSAMPLINGS",
    "DiversityInputs",
    "DrawingOptions",
    "IndexEntry",
    "PhotoReport",
    "RunHistory",
    "ScoreRow",
    "attention_figure",
    "attention_map",
    "captions_figure",
    "check_ending",
    "check_format",
    "curves_figure",
    "frame",
    "gates_figure",
    "index_page",
    "notebook_html",
    "photo_data",
    "photo_of",
    "read_run",
    "save_figure",
    "viewer_data",
    "viewer_frame",
    "viewer_page",
    "write_attention",
    "write_report",
    "write_run_report",
]
