"""Deletion and insertion curves: the probability of a word while locations of the photo are hidden or shown one after another."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from showattend.metrics import Estimate
from showattend.visualize.figures import LINE_COLORS, make_figure

ORDER_LABELS = {"alpha": "in the order of alpha, the largest first", "random": "in random orders"}
AXIS_LABELS = {"deletion": "share of the locations hidden", "insertion": "share of the locations shown"}


def curves_figure(points: Mapping[str, Mapping[str, Sequence[Estimate]]]) -> Figure:
    """The curves side by side, with their confidence intervals as bands.

    Args:
        points: for `deletion` and `insertion`, by `alpha` and `random`, means at equally spaced shares from 0 to 1
    """
    figure, axes = make_figure(1, len(points), (9.0, 3.8), sharey=True)
    for axis, (name, orders) in zip(axes.flat, points.items(), strict=True):
        for (order, estimates), color, line in zip(orders.items(), LINE_COLORS, ("-", "--"), strict=False):
            shares = np.linspace(0, 1, len(estimates))
            means = [estimate.value for estimate in estimates]
            axis.plot(shares, means, line, color=color, marker="o", markersize=3.5, label=ORDER_LABELS[order])
            low, high = zip(*(estimate.interval for estimate in estimates), strict=True)
            axis.fill_between(shares, low, high, color=color, alpha=0.15, linewidth=0)
        axis.set_title(name, fontsize=11)
        axis.set_xlabel(AXIS_LABELS[name], fontsize=10)
        axis.grid(color="0.9")
    axes.flat[0].set_ylabel("probability of the word", fontsize=10)
    axes.flat[0].set_ylim(bottom=0)
    axes.flat[-1].legend(loc="lower right", frameon=False)
    figure.tight_layout(pad=0.5)
    return figure
