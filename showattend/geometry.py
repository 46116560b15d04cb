"""Boxes in a photo, and where on it the locations of a feature grid lie."""

from typing import NamedTuple

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels


class GridGeometry(NamedTuple):
    """Centres of the locations' receptive fields, the same across and down, in pixels of the square that the network gets.

    first: of the first location
    step: from one location to the next
    """

    first: float
    step: float

    def grid_box(self, grid_shape: tuple[int, int], image_size: int, crop_box: Box) -> Box:
        """The part of a photo over which the grid must be laid so that each cell's centre is where that location looks.

        It may reach over an edge: convolutions with odd kernels and a stride look half a pixel up and left of the centre
        of what they reduce, and a CNN with five of them half a cell.

        Args:
            grid_shape: rows and columns
            image_size: pixels of the square that the network gets
            crop_box: the part of the photo that this square showed, in the photo's pixels

        Returns:
            left, upper, right, lower, in the photo's pixels
        """
        left, upper, right, lower = crop_box
        x, y = (right - left) / image_size, (lower - upper) / image_size
        start = self.first - self.step / 2
        end_y, end_x = (start + count * self.step for count in grid_shape)
        return left + start * x, upper + start * y, left + end_x * x, upper + end_y * y
