"""The figures of a study of cells: a forest plot, what hyperparameters explain, delays that are learned, gradients over the distance."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from showattend.visualize.figures import LINE_COLORS, TEXT_AS_TEXT, make_figure

ROW_HEIGHT = 0.24  # inches
VERDICT_COLORS = {"different": LINE_COLORS[1], "equivalent": LINE_COLORS[2], "undecided": "0.5"}
LINE_STYLES = ("-", "--", ":", "-.")


class ForestRow(NamedTuple):
    """A cell's difference to the reference, with its confidence interval, and the verdict."""

    name: str
    difference: float
    low: float
    high: float
    verdict: str


def forest_figure(rows: Sequence[ForestRow], reference: str, label: str, margin: float) -> Figure:
    """Differences to a reference with their intervals, the smallest at the top; the band is the margin of equivalence.

    Args:
        label: of the metric
    """
    rows = sorted(rows, key=lambda row: row.difference)
    figure, axes = make_figure(1, 1, (7.5, 1.3 + ROW_HEIGHT * len(rows)))
    axis = axes.flat[0]
    axis.axvspan(-margin, margin, color="0.93", zorder=0, label=f"margin, ±{margin:g}")
    axis.axvline(0, color="0.6", linewidth=0.8)
    for verdict, color in VERDICT_COLORS.items():
        places = [place for place, row in enumerate(rows) if row.verdict == verdict]
        if places:
            chosen = [rows[place] for place in places]
            differences = np.array([row.difference for row in chosen])
            errors = np.abs(np.array([(row.low, row.high) for row in chosen]).T - differences)
            axis.errorbar(differences, places, xerr=errors, fmt="o", color=color, markersize=4, linewidth=1.3, label=verdict)
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=9)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(f"{label}: difference to {reference}, with 95% interval (verdicts: Holm)", fontsize=9)
    axis.grid(axis="x", color="0.9")
    figure.legend(loc="upper center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(pad=0.5, rect=(0, 0, 1, 1 - 0.35 / figure.get_size_inches()[1]))
    return figure


def importance_figure(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars of the variance that each hyperparameter explains by itself, and that several explain together alone.

    Args:
        shares: by the name of a track, from hyperparameters and, at last, `interactions` to shares that sum to 1
    """
    *single, interactions = next(iter(shares.values()))
    names = [*sorted(single), interactions]
    figure, axes = make_figure(1, 1, (7.5, 0.9 + 0.5 * len(names)))
    axis, height = axes.flat[0], 0.8 / max(1, len(shares))
    for number, (track, of_track) in enumerate(shares.items()):
        places = np.arange(len(names)) + (number - (len(shares) - 1) / 2) * height
        values = [of_track.get(name, 0.0) for name in names]
        bars = axis.barh(places, values, height, color=LINE_COLORS[number % len(LINE_COLORS)], label=track.replace("_", " "))
        axis.bar_label(bars, [f"{value:.0%}" for value in values], padding=3, fontsize=8)
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.08)
    axis.set_xlabel("share of the variance of the validation loss", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower right", frameon=False, fontsize=9)
    figure.tight_layout(pad=0.5)
    return figure


def delays_figure(tasks: Mapping[str, Mapping[str, Mapping[str, float]]], delays: Sequence[int]) -> Figure:
    """For each task and cell, the share of the seeds that learn each delay; dark is all of them.

    Args:
        tasks: by task and cell, from delays (as text) to shares
    """
    cells = sorted({cell for of_task in tasks.values() for cell in of_task}, key=lambda cell: _total(tasks, cell), reverse=True)
    figure, axes = make_figure(1, len(tasks), (2.2 + 1.9 * len(tasks), 1.1 + ROW_HEIGHT * len(cells)), sharey=True)
    for axis, (task, of_task) in zip(axes.flat, tasks.items(), strict=True):
        shares = np.array([[of_task.get(cell, {}).get(str(delay), np.nan) for delay in delays] for cell in cells], dtype=float)
        axis.imshow(np.ma.masked_invalid(shares), aspect="auto", cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere((shares > 0) & (shares < 1)):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", fontsize=7, color=color)
        axis.set_xticks(range(len(delays)), [str(delay) for delay in delays], fontsize=8)
        axis.set_title(task, fontsize=10)
        axis.set_xlabel("delay", fontsize=9)
    axes.flat[0].set_yticks(range(len(cells)), cells, fontsize=9)
    figure.tight_layout(pad=0.5)
    return figure


def _total(tasks: Mapping[str, Mapping[str, Mapping[str, float]]], cell: str) -> float:
    return sum(share for of_task in tasks.values() for share in of_task.get(cell, {}).values())


def gradients_figure(cells: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The norm of dh_T/ds_t over the distance T - t, untrained and trained, on a logarithmic scale; bands: the least to the largest.

    Args:
        cells: for each cell the norms at the distances 1, 2, … as `untrained` and `trained`, and (least, largest) as `…_range`
    """
    figure, axes = make_figure(1, 2, (9.5, 4.0), sharey=True)
    for axis, kind in zip(axes.flat, ("untrained", "trained"), strict=True):
        axis.axhline(1, color="0.7", linewidth=0.8)
        for number, (name, norms) in enumerate(cells.items()):
            style = LINE_STYLES[number // len(LINE_COLORS) % len(LINE_STYLES)]
            distances = range(1, len(norms[kind]) + 1)
            color = LINE_COLORS[number % len(LINE_COLORS)]
            axis.plot(distances, norms[kind], style, color=color, linewidth=1.5, label=name)
            axis.fill_between(distances, *np.array(norms[f"{kind}_range"]).T, color=color, alpha=0.08, linewidth=0)
        axis.set_yscale("log")
        axis.set_title(kind, fontsize=10)
        axis.set_xlabel("distance T - t, in steps", fontsize=9)
        axis.grid(color="0.92")
    axes.flat[0].set_ylim(bottom=1e-9)  # of both, with all lines in them: gradients that explode are seen too
    axes.flat[0].set_ylabel("norm of dh_T/ds_t", fontsize=9)
    axes.flat[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    figure.tight_layout(pad=0.5)
    return figure


def svg_text(figure: Figure) -> str:
    """A figure as an SVG, the same each time."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**TEXT_AS_TEXT, "svg.hashsalt": "showattend"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
