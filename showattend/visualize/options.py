"""How attention maps are drawn: the options that figures, animations and the viewer share."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

from showattend.errors import InputError, unknown_name

STYLES = ("spotlight", "heat", "contour", "boxes")
UPSAMPLINGS = ("bicubic", "gaussian", "none")
COLORMAP_STEPS = 64


@dataclass(frozen=True)
class DrawingOptions:
    """How attention maps are drawn.

    Args:
        style: spotlight (the photo is dark where alpha is small), heat (colours over the photo), contour (lines at 30, 60 and 90% of
            the largest weight) or boxes (the cells that hold half of alpha)
        colormap: of the style heat, a name of matplotlib's
        upsample: between the centres of the locations: bicubic, gaussian, or none for flat cells
        columns: panels of a figure side by side; None: as many as fit a page
        words: numbers of the words that a figure shows, the first is 1; None: all

    Raises:
        InputError: there is no such style, colormap or way to upsample, or a number is below 1.
    """

    style: str = "spotlight"
    colormap: str = "inferno"
    upsample: str = "bicubic"
    columns: int | None = None
    words: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for kind, value, known in (("style", self.style, STYLES), ("upsample", self.upsample, UPSAMPLINGS)):
            if value not in known:
                raise unknown_name(kind, value, known)
        if self.colormap not in matplotlib.colormaps:
            raise unknown_name("colormap", self.colormap, (name for name in matplotlib.colormaps if not name.endswith("_r")))
        if self.columns is not None and self.columns < 1:
            raise InputError(f"columns is {self.columns}: give at least 1")
        for word in self.words or ():
            if word < 1:
                raise InputError(f"word {word} does not exist: words are numbered from 1")

    def chosen_words(self, count: int) -> list[int]:
        """Indices, from 0, of the words to draw.

        Args:
            count: words of the caption

        Raises:
            InputError: a chosen word does not exist.
        """
        for word in self.words or ():
            if word > count:
                raise InputError(f"word {word} does not exist: the caption has {count} words")
        return list(range(count)) if self.words is None else [word - 1 for word in self.words]

    def colors(self) -> list[tuple[int, int, int]]:
        """The colormap as red, green and blue from 0 to 255, from the smallest weight to the largest."""
        colormap = matplotlib.colormaps[self.colormap]
        steps = (colormap(step / (COLORMAP_STEPS - 1)) for step in range(COLORMAP_STEPS))
        return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue, _ in steps]
