"""Line charts of the report of a run: where each point lies, in units of the SVG's view box."""

from collections.abc import Mapping
from typing import NamedTuple

WIDTH, HEIGHT, TOP, LEFT, RIGHT, BOTTOM = 360, 150, 10, 44, 8, 20
LINES = ("first", "second")  # classes of the style sheet


class Point(NamedTuple):
    """A value at an epoch, which counts from 1 as people count."""

    x: float
    y: float
    epoch: int
    value: float


class Line(NamedTuple):
    """The points of a metric, and how the style sheet calls the line."""

    name: str
    style: str
    points: list[Point]

    @property
    def path(self) -> str:
        """The points as the attribute of an SVG polyline."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


class LineChart(NamedTuple):
    """Metrics over the epochs on one scale."""

    title: str
    lines: list[Line]
    low: float
    high: float
    first: int
    last: int
    best: Point | None
    width: int = LEFT + WIDTH + RIGHT
    height: int = TOP + HEIGHT + BOTTOM
    left: int = LEFT
    top: int = TOP
    base_y: int = TOP + HEIGHT


def make_line_chart(title: str, metrics: Mapping[str, Mapping[int, float]], best: int | None) -> LineChart:
    """Lines on one scale from the smallest value to the largest.

    Args:
        metrics: by its name, each metric's values by the epoch, the first is 0; at most two metrics, none empty
        best: epoch that is marked on the last metric
    """
    values = [value for by_epoch in metrics.values() for value in by_epoch.values()]
    epochs = [epoch for by_epoch in metrics.values() for epoch in by_epoch]
    low, high, first, last = min(values), max(values), min(epochs), max(epochs)

    def place(epoch: int, value: float) -> Point:
        x = LEFT + WIDTH * (epoch - first) / max(1, last - first)
        return Point(x, TOP + HEIGHT * (high - value) / ((high - low) or 1), epoch + 1, value)

    lines = [
        Line(name, style, [place(*item) for item in sorted(by_epoch.items())])
        for (name, by_epoch), style in zip(metrics.items(), LINES, strict=False)
    ]
    marked = next((point for point in lines[-1].points if best is not None and point.epoch == best + 1), None)
    return LineChart(title, lines, low, high, first + 1, last + 1, marked)
