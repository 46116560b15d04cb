"""Where the locations of a grid lie on a photo, and what of them lies in boxes; all in the photo's own pixels, upright.

The cell of a location is the part of the photo that is nearer to it than to any other, as heatmaps are drawn: the cells share
out what the network saw, without gap or overlap. They are those of the grid laid over `Caption.grid_box`, but that the outer ones
end where `Caption.crop_box` does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from showattend.geometry import Box
from showattend.inference import Caption

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def middles(caption: Caption) -> Floats:
    """Where each location looks, x and y, (L,2)."""
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    x = left + (np.arange(columns) + 0.5) / columns * (right - left)
    y = upper + (np.arange(rows) + 0.5) / rows * (lower - upper)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def inside(caption: Caption, boxes: Sequence[Box]) -> Bools:
    """Whether a location looks into one of the boxes, their edges included, (L,)."""
    x, y = middles(caption).T
    left, upper, right, lower = np.array(boxes).T[..., None]
    among: Bools = ((left <= x) & (x <= right) & (upper <= y) & (y <= lower)).any(0)
    return among


def central(caption: Caption) -> Floats:
    """An alpha that always looks at the middle of the photo: all on the nearest location, or shared by the nearest, (L,)."""
    left, upper, right, lower = caption.crop_box
    apart = np.hypot(*(middles(caption) - ((left + right) / 2, (upper + lower) / 2)).T)
    nearest = apart <= apart.min() + 1e-6 * (right - left)
    alpha: Floats = nearest / nearest.sum()
    return alpha


def in_sight(boxes: Sequence[Box], visible: Box) -> list[Box]:
    """What the network saw of each box; boxes of which it saw nothing are left out."""
    left, upper, right, lower = visible
    cut = [(max(left, a), max(upper, b), min(right, c), min(lower, d)) for a, b, c, d in boxes]
    return [box for box in cut if box[0] < box[2] and box[1] < box[3]]


def cell_areas(caption: Caption) -> Floats:
    """The area of each location's cell, (L,)."""
    x, y = _edges(caption)
    return np.outer(np.diff(y), np.diff(x)).ravel()


def covered_areas(caption: Caption, boxes: Sequence[Box]) -> Floats:
    """The area of each cell that lies in at least one of the boxes, (L,)."""
    x, y = _edges(caption)
    corners = np.array(in_sight(boxes, caption.crop_box)).reshape(-1, 4)
    # The edges of all boxes cut the photo into patches, each wholly in a box or wholly outside.
    weight_grad, down = np.unique(corners[:, ::2]), np.unique(corners[:, 1::2])
    left, upper, right, lower = corners.T[..., None, None]
    patches = ((left <= weight_grad[:-1]) & (weight_grad[1:] <= right) & (upper <= down[:-1, None]) & (down[1:, None] <= lower)).any(0)
    covered: Floats = _overlaps(y, down) @ patches @ _overlaps(x, weight_grad).T
    return covered.ravel()


def _edges(caption: Caption) -> tuple[Floats, Floats]:
    """Of the cells, across (columns+1,) and down (rows+1,)."""
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    weight_grad, down = np.linspace(left, right, columns + 1), np.linspace(upper, lower, rows + 1)
    weight_grad[0], down[0], weight_grad[-1], down[-1] = caption.crop_box
    return weight_grad, down


def _overlaps(edges: Floats, cuts: Floats) -> Floats:
    """How much of each stretch between edges lies in each stretch between cuts, (edges-1,cuts-1)."""
    low, high = np.maximum(edges[:-1, None], cuts[:-1]), np.minimum(edges[1:, None], cuts[1:])
    return (high - low).clip(min=0.0)
