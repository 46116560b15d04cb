"""Chunks: some photos of a unit on their way from decoding through the network to the part, in one form for Ray and without it.

Every chunk begins at a multiple of the batch size within its unit, so that the network computes the same batches whoever computes them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Place(NamedTuple):
    """Where a chunk belongs: the number of its unit, its first photo there, and whether the unit ends with it."""

    unit: int
    start: int
    last: bool


class DecodedChunk(NamedTuple):
    """Photos for the network.

    pixels: uint8 (N,3,S,S)
    sizes: width and height of each
    reasons: why a photo is broken; empty for the others
    fatal: why the work cannot go on, or an empty text
    """

    place: Place
    ids: list[str]
    pixels: NDArray[np.uint8]
    sizes: list[tuple[int, int]]
    reasons: list[str]
    fatal: str = ""


class Row(NamedTuple):
    """A photo of the output: its id and the caption with its score, or the error; alphas (T,L) and their grid where they are wanted."""

    id: str
    caption: str | None
    score: float | None
    error: str | None
    alphas: list[list[float]] | None = None
    grid: tuple[int, int] | None = None


class CaptionedChunk(NamedTuple):
    """Rows of the output. fatal: why the work cannot go on, or an empty text."""

    place: Place
    rows: list[Row]
    fatal: str = ""
