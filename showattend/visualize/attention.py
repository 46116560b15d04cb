"""Figures of attention maps: alpha over the photo, for each word of a caption, as small panels for a page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from showattend.console import printable
from showattend.inference import Caption
from showattend.visualize.fonts import families, is_right_to_left, pillow_font
from showattend.visualize.maps import attention_map, cell_box, fit_within, main_cells, overlay, scale_boxes, unseen_boxes
from showattend.visualize.options import DrawingOptions

# Inches; a figure is as wide as the text of a page, and its letters can be read there without enlarging it.
PAGE_WIDTH, GAP, WORD_HEIGHT, LINE_HEIGHT = 6.9, 0.06, 0.17, 0.17
PANEL_WIDTH = 1.07  # of a photo of 3 by 2; others have about the same area
MAX_PANEL_HEIGHT = 3.2  # a figure as high as some photos are would fill the memory
SMALLEST_SIDE = 0.02
WORD_SIZE, TITLE_SIZE, SMALLEST_SIZE = 8.0, 9.0, 4.5  # points
DPI = 220  # of .png, .jpg and .webp
MAX_SIDE = 480  # pixels; a panel cannot show more, and more only makes the file larger
ACCENT = "#e8590c"
LEVELS = (0.3, 0.6, 0.9)  # of the contours, as shares of the largest weight


def attention_figure(photo: Image.Image, caption: Caption, **options: Any) -> Figure:
    """The photo, and for each word the photo with alpha over it.

    Args:
        photo: upright, RGB
        options: the fields of `DrawingOptions`

    Raises:
        InputError: see `DrawingOptions`.
    """
    return captions_figure(photo, {"": caption}, DrawingOptions(**options))


def captions_figure(photo: Image.Image, captions: Mapping[str, Caption], options: DrawingOptions) -> Figure:
    """The captions of one photo by several models, each as in `attention_figure`, one above the other.

    Args:
        captions: by the name of their model

    Raises:
        InputError: a chosen word does not exist.
    """
    small = fit_within(photo, MAX_SIDE)
    scale = small.width / photo.width, small.height / photo.height
    blocks = [
        _Block(name, scale_boxes(caption, *scale), [None, *options.chosen_words(len(caption.words))]) for name, caption in captions.items()
    ]
    layout = _Layout.fit(small.width / small.height, max(len(block.panels) for block in blocks), options.columns)
    titles = [_wrap(f"{block.name}: {block.text}" if block.name else block.text, layout.width) for block in blocks]
    rows = [math.ceil(len(block.panels) / layout.columns) for block in blocks]
    heights = [LINE_HEIGHT * len(lines) + 0.08 + count * layout.row_height for lines, count in zip(titles, rows, strict=True)]
    figure = Figure(figsize=(layout.width, sum(heights) + GAP), dpi=DPI)
    top = sum(heights) + GAP
    for block, lines, height in zip(blocks, titles, heights, strict=True):
        _draw_block(figure, small, block, lines, top, layout, options)
        top -= height
    return figure


class _Block(NamedTuple):
    """The panels of one caption; None is the photo without a map."""

    name: str
    caption: Caption
    panels: Sequence[int | None]

    @property
    def text(self) -> str:
        return str(self.caption) or "(no words)"


class _Layout(NamedTuple):
    """Inches of a grid of panels."""

    width: float
    columns: int
    slot: float  # from one panel to the next
    panel: tuple[float, float]

    @property
    def row_height(self) -> float:
        return WORD_HEIGHT + self.panel[1] + GAP

    @classmethod
    def fit(cls, aspect: float, panels: int, columns: int | None) -> "_Layout":
        """A grid for photos of this width over height."""
        width = min(max(PANEL_WIDTH * math.sqrt(aspect / 1.5), 0.45), (PAGE_WIDTH - GAP) / 2)
        slot = max(width, 0.8) + GAP
        height = min(max(width / aspect, SMALLEST_SIDE), MAX_PANEL_HEIGHT)
        width = max(min(width, height * aspect), SMALLEST_SIDE)
        columns = min(panels, columns or max(1, int((PAGE_WIDTH - GAP + 1e-6) // slot)))
        return cls(max(columns * slot + GAP, 2.2), columns, slot, (width, height))


def _draw_block(
    figure: Figure, photo: Image.Image, block: _Block, title: Sequence[str], top: float, layout: _Layout, options: DrawingOptions
) -> None:
    """A caption and its panels, below a line that is `top` inches above the figure's lower edge."""
    width, height = figure.get_size_inches()
    for n, line in enumerate(map(printable, title)):
        y = (top - 0.06 - LINE_HEIGHT * (n + 0.5)) / height
        figure.text(0.5, y, line, ha="center", va="center", fontsize=TITLE_SIZE, parse_math=False, family=families(line))
    top -= LINE_HEIGHT * len(title) + 0.08
    start = (width - layout.columns * layout.slot + GAP) / 2 + (layout.slot - GAP - layout.panel[0]) / 2
    for place, word in enumerate(block.panels):
        row, column = divmod(place, layout.columns)
        if is_right_to_left(block.text):
            column = layout.columns - 1 - column
        lower = top - row * layout.row_height - WORD_HEIGHT - layout.panel[1]
        box = ((start + column * layout.slot) / width, lower / height, layout.panel[0] / width, layout.panel[1] / height)
        axis = figure.add_axes(box)
        axis.axis("off")
        _draw_panel(axis, photo, block.caption, word, options, layout.slot - GAP)


def _draw_panel(axis: Axes, photo: Image.Image, caption: Caption, word: int | None, options: DrawingOptions, slot: float) -> None:
    """The photo, with the map of a word and the word above it."""
    edges: dict[str, Any] = {"extent": (0, photo.width, photo.height, 0), "aspect": "auto", "interpolation": "antialiased"}
    if word is None:
        axis.imshow(photo, **edges)
        _draw_unseen(axis, photo, caption)
        return
    weights = attention_map(caption, word, photo.size, options.upsample)
    axis.imshow(overlay(photo, weights, options), **edges)
    _draw_unseen(axis, photo, caption)
    if options.style == "contour" and weights.min() < LEVELS[-1]:
        x, y = np.arange(photo.width) + 0.5, np.arange(photo.height) + 0.5
        lines = axis.contour(x, y, weights, levels=LEVELS, colors=ACCENT, linewidths=(0.5, 0.8, 1.1))
        lines.set(path_effects=[withStroke(linewidth=2.0, foreground="white")])
    if options.style == "boxes":
        alpha = np.asarray(caption.alphas[word])
        for cell in main_cells(alpha):
            _draw_cell(axis, caption, cell, max(0.25, float(alpha[cell] / alpha.max())))
    if caption.locations is not None:
        _draw_cell(axis, caption, int(caption.locations[word]), 1.0)
    axis.set_xlim(0, photo.width)
    axis.set_ylim(photo.height, 0)
    text = printable(caption.labels[word])
    axis.set_title(text, fontsize=_fitting_size(text, WORD_SIZE, slot), pad=2.5, parse_math=False, family=families(text))


def _draw_unseen(axis: Axes, photo: Image.Image, caption: Caption) -> None:
    """Hatching over what the network did not see."""
    for left, upper, right, lower in unseen_boxes(caption, photo.size):
        size = right - left, lower - upper
        axis.add_patch(Rectangle((left, upper), *size, facecolor="white", alpha=0.62, linewidth=0))
        axis.add_patch(Rectangle((left, upper), *size, fill=False, hatch="/////", hatch_linewidth=0.35, edgecolor="0.35", linewidth=0))


def _draw_cell(axis: Axes, caption: Caption, location: int, strength: float) -> None:
    """The outline of a location's cell."""
    left, upper, right, lower = cell_box(caption, location)
    for color, width in (("white", 1.8), (ACCENT, 0.9)):
        rectangle = Rectangle((left, upper), right - left, lower - upper, fill=False, edgecolor=color, linewidth=width, alpha=strength)
        axis.add_patch(rectangle)


def _text_width(text: str, size: float) -> float:
    """Inches."""
    return pillow_font(text, 100).getlength(text) / 100 * size / 72


def _fitting_size(text: str, size: float, width: float) -> float:
    """The font size, at most `size`, at which a text is no wider than `width` inches."""
    return max(SMALLEST_SIZE, size * min(1.0, width / max(_text_width(text, size), 1e-6)))


def _wrap(text: str, width: float) -> list[str]:
    """Lines of about equal length, none wider than the figure where a word is not."""
    words, needed = text.split(), _text_width(text, TITLE_SIZE)
    limit = needed / math.ceil(needed / (width - 0.2)) + 0.1 if needed > width - 0.2 else math.inf
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _text_width(longer, TITLE_SIZE) > min(limit + 0.3, width - 0.1):
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
