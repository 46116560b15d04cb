"""The bar chart of caption lengths in the report: where each bar and label lies, in units of the SVG's view box."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from showattend.metrics.corpus import Tokens

WIDTH, HEIGHT = 400, 160  # of the bars
TOP = 20  # space above the bars, for the label of the scale
BAR_WIDTH = 0.4  # share of a column; each column has two bars
MAX_LABELS = 20


class Bar(NamedTuple):
    """The share of one group's texts that have one length."""

    group: str
    x: float
    y: float
    width: float
    height: float
    title: str


class Label(NamedTuple):
    """A length below its bars; x is the middle."""

    x: float
    length: int


class LengthChart(NamedTuple):
    """The shares of captions and of references by their number of words."""

    bars: list[Bar]
    labels: list[Label]
    largest_share: float
    mean_caption: float
    mean_reference: float
    width: int = WIDTH
    height: int = TOP + HEIGHT + 24
    base_y: int = TOP + HEIGHT
    label_y: int = TOP + HEIGHT + 16


def make_length_chart(captions: Sequence[Tokens], references: Sequence[Tokens]) -> LengthChart:
    """Bars for each length from 0 to the longest text, in two colours side by side."""
    counts = {"captions": Counter(map(len, captions)), "references": Counter(map(len, references))}
    longest = max([length for count in counts.values() for length in count], default=0)
    shares = {name: [count[length] / max(1, count.total()) for length in range(longest + 1)] for name, count in counts.items()}
    largest = max(max(row) for row in shares.values()) or 1
    column = WIDTH / (longest + 1)
    bars = []
    for position, (name, row) in enumerate(shares.items()):
        for length, share in enumerate(row):
            height = HEIGHT * share / largest
            x = (length + position * (BAR_WIDTH + 0.02)) * column
            bars.append(Bar(name, x, TOP + HEIGHT - height, BAR_WIDTH * column, height, f"{length} words: {share:.1%}"))
    step = max(1, -(-(longest + 1) // MAX_LABELS))
    labels = [Label((length + BAR_WIDTH) * column, length) for length in range(0, longest + 1, step)]
    return LengthChart(bars, labels, largest, _mean_length(captions), _mean_length(references))


def _mean_length(texts: Sequence[Tokens]) -> float:
    return sum(map(len, texts)) / max(1, len(texts))
