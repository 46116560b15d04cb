"""The box of a grid in the photo, from where its first location looks and the step between locations."""

import pytest

from showattend.geometry import GridGeometry


def test_cells_of_the_box_are_centred_where_the_locations_look() -> None:
    # The crop is twice as wide as the network gets it, and half as high.
    left, upper, right, lower = GridGeometry(0.5, 16).grid_box((2, 3), 100, (40, 10, 240, 60))
    assert (left + (right - left) / 6, upper + (lower - upper) / 4) == pytest.approx((41, 10.25))
    assert ((right - left) / 3, (lower - upper) / 2) == pytest.approx((32, 8))
