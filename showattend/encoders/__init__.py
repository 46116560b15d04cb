"""Encoders: photos to a grid of features."""
