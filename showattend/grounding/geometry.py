"""Where the locations of a grid lie on a photo, and how much of each lies in boxes; all in the photo's own pixels, upright.

The cell of a location is the part of the photo that is nearer to it than to any other location, as heatmaps are drawn. The cells
partition what the network saw, without gap or overlap: they are those of the grid laid over `Caption.grid_box`, except that the
outer ones end where `Caption.crop_box` does.
"""

from collections.abc import Sequence

import numpy as np

from showattend.arrays import Bools, Floats
from showattend.geometry import Box
from showattend.inference import Caption


def location_centers(caption: Caption) -> Floats:
    """The centre of each location on the photo, x and y, (L,2)."""
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    x = left + (np.arange(columns) + 0.5) / columns * (right - left)
    y = upper + (np.arange(rows) + 0.5) / rows * (lower - upper)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def centers_inside(caption: Caption, boxes: Sequence[Box]) -> Bools:
    """Whether a location's centre lies in one of the boxes, their edges included, (L,)."""
    x, y = location_centers(caption).T
    left, upper, right, lower = np.array(boxes).T[..., None]
    inside: Bools = ((left <= x) & (x <= right) & (upper <= y) & (y <= lower)).any(0)
    return inside


def center_alpha(caption: Caption) -> Floats:
    """An alpha that is always on the centre of the photo: on the nearest location, or shared by the nearest ones, (L,)."""
    left, upper, right, lower = caption.crop_box
    distances = np.hypot(*(location_centers(caption) - ((left + right) / 2, (upper + lower) / 2)).T)
    nearest = distances <= distances.min() + 1e-6 * (right - left)
    alpha: Floats = nearest / nearest.sum()
    return alpha


def clip_boxes(boxes: Sequence[Box], crop_box: Box) -> list[Box]:
    """The part of each box that the network saw; boxes that lie wholly outside are left out."""
    left, upper, right, lower = crop_box
    clipped = [(max(left, a), max(upper, b), min(right, c), min(lower, d)) for a, b, c, d in boxes]
    return [box for box in clipped if box[0] < box[2] and box[1] < box[3]]


def cell_areas(caption: Caption) -> Floats:
    """The area of each location's cell, (L,)."""
    x, y = _cell_edges(caption)
    return np.outer(np.diff(y), np.diff(x)).ravel()


def covered_areas(caption: Caption, boxes: Sequence[Box]) -> Floats:
    """The area of each cell that lies in at least one of the boxes, (L,)."""
    x_edges, y_edges = _cell_edges(caption)
    corners = np.array(clip_boxes(boxes, caption.crop_box)).reshape(-1, 4)
    # The edges of all boxes cut the photo into patches, each wholly inside a box or wholly outside.
    x, y = np.unique(corners[:, ::2]), np.unique(corners[:, 1::2])
    left, upper, right, lower = corners.T[..., None, None]
    patches = ((left <= x[:-1]) & (x[1:] <= right) & (upper <= y[:-1, None]) & (y[1:, None] <= lower)).any(0)
    covered: Floats = _overlaps(y_edges, y) @ patches @ _overlaps(x_edges, x).T
    return covered.ravel()


def _cell_edges(caption: Caption) -> tuple[Floats, Floats]:
    """The edges of the cells, x (columns+1,) and y (rows+1,)."""
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    x, y = np.linspace(left, right, columns + 1), np.linspace(upper, lower, rows + 1)
    x[0], y[0], x[-1], y[-1] = caption.crop_box
    return x, y


def _overlaps(edges: Floats, cuts: Floats) -> Floats:
    """The length that each stretch between edges has in common with each stretch between cuts, (edges-1,cuts-1)."""
    low, high = np.maximum(edges[:-1, None], cuts[:-1]), np.minimum(edges[1:, None], cuts[1:])
    return (high - low).clip(min=0.0)
