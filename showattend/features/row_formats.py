"""What a row of the cache holds: a photo's pixels as bytes, or its features in half precision or as int8 with a scale for each channel."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIXELS, FLOAT16, INT8 = "pixels", "float16", "int8"
MAX_LEVEL = 127


def row_type(name: str, shape: tuple[int, ...]) -> np.dtype[Any]:
    """The NumPy type of one row.

    Args:
        name: PIXELS, FLOAT16 or INT8
        shape: of a photo's pixels (3,S,S), or of its features (L,D)
    """
    if name == INT8:
        return np.dtype([("scales", "<f4", shape[-1:]), ("levels", "|i1", shape)])
    return np.dtype(({PIXELS: "|u1", FLOAT16: "<f2"}[name], shape))


def encode_rows(name: str, values: Tensor) -> NDArray[Any]:
    """The rows of a batch of pixels (N,3,S,S) or features (N,L,D).

    int8 keeps each channel of a photo as 255 levels between its largest magnitude, negative and positive.
    """
    if name == PIXELS:
        return values.cpu().numpy()
    if name == FLOAT16:
        return values.half().contiguous().cpu().numpy()
    scales = values.float().abs().amax(1) / MAX_LEVEL
    levels = (values.float() / scales.unsqueeze(1)).nan_to_num_(0.0).round_()  # a channel of zeros has the scale 0
    rows = np.empty(len(values), row_type(INT8, tuple(values.shape[1:])))
    rows["scales"], rows["levels"] = scales.cpu().numpy(), levels.to(torch.int8).cpu().numpy()
    return rows


def decode_row(row: NDArray[Any]) -> Tensor:
    """The pixels (3,S,S), or the features (L,D) in half precision, of one row."""
    if row.dtype.names is None:
        return torch.from_numpy(row)
    return (torch.from_numpy(row["levels"]) * torch.from_numpy(row["scales"])).half()
