"""Deletion and insertion curves: how the probability of a word goes with what is hidden or shown of the photo."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from showattend.metrics import Estimate
from showattend.visualize.figures import COLORS, figure_file

LABELS = {"alpha": "in the order of alpha, the largest first", "random": "in random orders"}
AXES = {"deletion": "share of the locations hidden", "insertion": "share of the locations shown"}


def curves_figure(points: Mapping[str, Mapping[str, Sequence[Estimate]]], path: Path) -> None:
    """Draw the curves side by side, with their intervals as bands, and write the figure.

    Args:
        points: for `deletion` and `insertion`, by `alpha` and `random`, means at equally spaced shares from 0 to 1

    Raises:
        InputError: the format is not known, or the file cannot be written.
    """
    with figure_file(path, 1, len(points), (9.0, 3.8), sharey=True) as (_, axes):
        for axis, (name, orders) in zip(axes.flat, points.items(), strict=True):
            for (order, estimates), color, line in zip(orders.items(), COLORS, ("-", "--"), strict=False):
                shares = np.linspace(0, 1, len(estimates))
                axis.plot(shares, [found.value for found in estimates], line, color=color, marker="o", markersize=3.5, label=LABELS[order])
                low, high = zip(*(found.interval for found in estimates), strict=True)
                axis.fill_between(shares, low, high, color=color, alpha=0.15, linewidth=0)
            axis.set_title(name, fontsize=11)
            axis.set_xlabel(AXES[name], fontsize=10)
            axis.grid(color="0.9")
        axes.flat[0].set_ylabel("probability of the word", fontsize=10)
        axes.flat[0].set_ylim(bottom=0)
        axes.flat[-1].legend(loc="lower right", frameon=False)
