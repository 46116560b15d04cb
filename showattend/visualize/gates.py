"""The gates of a cell at each word of a caption."""

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from showattend.console import printable
from showattend.errors import InputError
from showattend.inference import Caption
from showattend.visualize.figures import LINE_COLORS, make_figure
from showattend.visualize.fonts import families

WORD_WIDTH = 0.62  # inches
MEANS_HEIGHT, UNITS_HEIGHT = 2.0, 1.3  # inches


def gates_figure(caption: Caption, layers: list[dict[str, Tensor]]) -> Figure:
    """For each layer the mean of each gate over its units, then all units of each gate, at each word.

    Args:
        caption: T words
        layers: for each layer, the lowest first, the gates' names and values (T,H) at the step that predicts each word

    Raises:
        InputError: the cell has no gates.
    """
    # One panel of means per layer (no gate's name), then one panel per gate.
    panels = [(layer, name) for layer, gates in enumerate(layers) if gates for name in (None, *gates)]
    if not panels:
        raise InputError("this model's cell has no gates: give a model of another cell (showattend cells lists them)")
    heights = [MEANS_HEIGHT if name is None else UNITS_HEIGHT for _, name in panels]
    size = (max(6.0, WORD_WIDTH * len(caption.words) + 1.4), sum(heights) + 0.9)
    figure, axes = make_figure(len(panels), 1, size, sharex=True, gridspec_kw={"height_ratios": heights})
    for axis, (layer, name) in zip(axes.flat, panels, strict=True):
        if name is None:
            _draw_means(axis, layers[layer])
            axis.set_title(f"layer {layer + 1}" if len(layers) > 1 else "each gate: mean and middle half of its units", fontsize=10)
        else:
            _draw_units(axis, name, layers[layer][name])
    labels, title = [printable(label) for label in caption.labels], printable(caption) or "(no words)"
    axes.flat[-1].set_xticks(
        range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor", family=families(" ".join(labels)), parse_math=False
    )
    # Wrapping takes $…$ for a formula whatever parse_math says.
    figure.suptitle(title.replace("$", r"\$"), fontsize=11, wrap=True, family=families(title))
    figure.tight_layout(pad=0.5)
    return figure


def _draw_means(axis: Axes, gates: dict[str, Tensor]) -> None:
    """A line for each gate: the mean over its units, with the range from the first to the third quartile."""
    for (name, values), color in zip(gates.items(), cycle(LINE_COLORS), strict=False):
        units = values.float().numpy()
        words = range(len(units))
        axis.plot(words, units.mean(1), color=color, marker="o", markersize=3.5, label=name)
        axis.fill_between(words, *np.quantile(units, (0.25, 0.75), axis=1), color=color, alpha=0.15, linewidth=0)
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("0 shut, 1 open", fontsize=9)
    axis.grid(axis="x", color="0.9")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _draw_units(axis: Axes, name: str, values: Tensor) -> None:
    """Every unit as a row, sorted by its mean with the most open at the top; light is open."""
    units = values.float().numpy()
    order = units.mean(0).argsort()[::-1]
    axis.imshow(units[:, order].T, aspect="auto", vmin=0, vmax=1, cmap="gray", interpolation="nearest")
    axis.set_ylabel(f"{name}, {values.shape[1]} units", fontsize=9)
    axis.set_yticks([])
