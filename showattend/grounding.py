"""Does alpha point at the thing that the word names?"""

from torch import Tensor

from showattend.inference import Caption
from showattend.models.lattice import Box


def peak(caption: Caption, word: int) -> tuple[float, float]:
    """Where alpha of a word is largest: x and y of the middle of that location, in the photo's pixels."""
    alpha: Tensor = caption.alphas[word]
    rows, columns = caption.grid
    row, column = divmod(int(alpha.argmax()), columns)
    left, upper, right, lower = caption.area
    return left + (column + 0.5) / columns * (right - left), upper + (row + 0.5) / rows * (lower - upper)


def points_at(caption: Caption, word: int, box: Box) -> bool:
    """Whether alpha's peak lies in a box, in the photo's pixels: one round of the pointing game (Zhang et al. 2016)."""
    x, y = peak(caption, word)
    left, upper, right, lower = box
    return left <= x <= right and upper <= y <= lower
