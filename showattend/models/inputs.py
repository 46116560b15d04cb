"""Photos as input of a captioning model: pixels, or features that were computed before. The type tells the two apart."""

from typing import NamedTuple

from torch import Tensor


class Pixels(NamedTuple):
    """Photos that the encoder has still to process: RGB bytes, (N,3,S,S)."""

    values: Tensor


class Features(NamedTuple):
    """The encoder's features of photos, as the feature cache holds them: (N,L,encoder_dim)."""

    values: Tensor


PhotoInputs = Pixels | Features
