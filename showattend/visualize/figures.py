"""Figures as files: which formats, and nothing half-drawn under a final name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from showattend.errors import InputError
from showattend.files import atomic_write

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by colour-blind readers too (Okabe & Ito)
FORMATS = (".png", ".jpg", ".jpeg", ".pdf", ".svg", ".webp")


def check_format(path: Path) -> None:
    """Refuse a figure's name before the work and not after it.

    Raises:
        InputError: its suffix is no known format.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot draw a figure as '{path.name}': end its name with one of {', '.join(FORMATS)}")


@contextmanager
def figure_file(path: Path, rows: int, columns: int, size: tuple[float, float], **layout: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure to draw into, with its axes (rows,columns), written when all is drawn.

    Args:
        size: width and height in inches
        layout: what else `matplotlib.pyplot.subplots` takes

    Raises:
        InputError: the format is not known, or the file cannot be written.
    """
    path = Path(path)
    check_format(path)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **layout)
    try:
        yield figure, axes
        figure.tight_layout(pad=0.5)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=110)
    finally:
        plt.close(figure)
