"""Boxes in a photo."""

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels
