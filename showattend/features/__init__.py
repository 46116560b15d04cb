"""Cached features: what a frozen encoder computes once for each photo."""
