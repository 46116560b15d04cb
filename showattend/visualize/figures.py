"""Figures as matplotlib objects, without pyplot's global state, and how they are written to files."""

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from showattend.errors import InputError
from showattend.files import atomic_write

LINE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # distinct for colour-blind readers too (Okabe & Ito)
FORMATS = (".png", ".jpg", ".jpeg", ".pdf", ".svg", ".webp")
DPI = 110
MAX_PIXELS = 16_000  # of a side: a WebP cannot have more, and a caption of a thousand words would need gigabytes
TEXT_AS_TEXT: Any = {"svg.fonttype": "none", "pdf.fonttype": 42}  # not as outlines: it can be searched, copied and restyled


def check_format(path: Path) -> None:
    """Refuse a figure's file name before the work and not after it.

    Raises:
        InputError: its suffix is no known format.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot draw a figure as '{path.name}': end its name with one of {', '.join(FORMATS)}")


def make_figure(rows: int, columns: int, size: tuple[float, float], **layout: Any) -> tuple[Figure, Any]:
    """A figure and its axes, (rows,columns).

    Args:
        size: width and height in inches
        layout: further arguments of `Figure.subplots`
    """
    figure = Figure(figsize=size, dpi=DPI)
    return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure to a file, complete or not at all.

    Raises:
        InputError: the format is not known, or the file cannot be written.
    """
    path = Path(path)
    check_format(path)
    with atomic_write(path) as temporary, matplotlib.rc_context(TEXT_AS_TEXT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # `fonts.families` has said so
        # By way of memory: some encoders overlook that a disk is full.
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:].lower(), dpi=min(figure.dpi, MAX_PIXELS / max(figure.get_size_inches())))
        temporary.write_bytes(content.getbuffer())
