"""Faster ways to compute what the model defines: nothing here changes a result, so a reader of the model may skip this package."""
