"""The two forms in which a photo can come to a captioning model; the type says which one a tensor is."""

from typing import NamedTuple

from torch import Tensor


class Pixels(NamedTuple):
    """Photos that the encoder has not seen yet: RGB bytes, (N,3,S,S)."""

    values: Tensor


class Features(NamedTuple):
    """What the encoder made of photos, as the feature cache holds it: (N,L,encoder_dim)."""

    values: Tensor


PhotoInputs = Pixels | Features
