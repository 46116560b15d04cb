"""What the gates of a cell did at each word of a caption."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from showattend.errors import InputError
from showattend.inference import Caption
from showattend.visualize.figures import COLORS, figure_file

WORD = 0.62  # inches


def gates_figure(caption: Caption, layers: list[dict[str, Tensor]], path: Path) -> None:
    """Draw for each layer the mean of each gate over the words, then every unit of each gate, and write the figure.

    Args:
        caption: T words; a gate's value at a word is that of the step that made the word
        layers: for each layer, the lowest first, the gates' names and values (T,H)

    Raises:
        InputError: the cell has no gates, the format is not known, or the file cannot be written.
    """
    panels = [(depth, name) for depth, gates in enumerate(layers) if gates for name in (None, *gates)]
    if not panels:
        raise InputError("this model's cell has no gates: give a model of another cell (showattend cells lists them)")
    size = (max(6.0, WORD * len(caption.words) + 1.4), sum(2.0 if name is None else 1.3 for _, name in panels) + 0.9)
    ratios = [2.0 if name is None else 1.3 for _, name in panels]
    with figure_file(path, len(panels), 1, size, sharex=True, gridspec_kw={"height_ratios": ratios}) as (figure, axes):
        for axis, (depth, name) in zip(axes.flat, panels, strict=True):
            if name is None:
                _means(axis, layers[depth])
                axis.set_title(f"layer {depth + 1}" if len(layers) > 1 else "each gate: mean and middle half of its units", fontsize=10)
            else:
                _units(axis, name, layers[depth][name])
        axes.flat[-1].set_xticks(range(len(caption.words)), caption.words, rotation=40, ha="right", rotation_mode="anchor")
        figure.suptitle(str(caption) or "(no words)", fontsize=11, wrap=True)


def _means(axis: Axes, gates: dict[str, Tensor]) -> None:
    for (name, values), color in zip(gates.items(), COLORS, strict=False):
        units = values.float().numpy()
        words = range(len(units))
        axis.plot(words, units.mean(1), color=color, marker="o", markersize=3.5, label=name)
        axis.fill_between(words, *np.quantile(units, (0.25, 0.75), axis=1), color=color, alpha=0.15, linewidth=0)
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("0 shut, 1 open", fontsize=9)
    axis.grid(axis="x", color="0.9")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _units(axis: Axes, name: str, values: Tensor) -> None:
    """Every unit as a row, the ones that are most open at the top: light is open."""
    units = values.float().numpy()
    order = units.mean(0).argsort()[::-1]
    axis.imshow(units[:, order].T, aspect="auto", vmin=0, vmax=1, cmap="gray", interpolation="nearest")
    axis.set_ylabel(f"{name}, {values.shape[1]} units", fontsize=9)
    axis.set_yticks([])
