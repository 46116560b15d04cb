"""What the rows of a cache are computed from: the options, and the record of them beside the file."""

import hashlib
import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from showattend.data.captions import Photo
from showattend.data.transforms import Preprocessing
from showattend.encoders import Encoder
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.features.row_formats import FLOAT16, PIXELS


@dataclass(frozen=True)
class RowOptions:
    """What a row holds, and how it is computed from a photo.

    Args:
        encoder: frozen; None: rows are the photos' pixels
        features_as: how features are kept, FLOAT16, or INT8 in half the space
        dtype: 16 bits, of the operands of the encoder's convolutions and products; None: that of its weights
    """

    preprocessing: Preprocessing
    encoder: Encoder | None = None
    features_as: str = FLOAT16
    dtype: torch.dtype | None = None

    @property
    def format(self) -> str:
        """Of the rows, see `row_formats`."""
        return self.features_as if self.encoder else PIXELS

    def row_shape(self) -> tuple[int, ...]:
        """Of a photo's pixels (3,S,S), or of its features (L,D)."""
        size = self.preprocessing.image_size
        if self.encoder is None:
            return (3, size, size)
        blank = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=self.encoder.mean.device)
        with torch.inference_mode():
            return tuple(self.encoder.eval()(blank).features.shape[1:])

    def make_extractor(self) -> FeatureExtractor | None:
        """What computes the features, where rows are features."""
        return FeatureExtractor(self.encoder, self.dtype) if self.encoder else None

    def manifest(self, photos: Sequence[Photo]) -> dict[str, Any]:
        """All that the rows of these photos depend on, as a JSON object."""
        content: dict[str, Any] = {
            "preprocessing": asdict(self.preprocessing),
            "files": files_digest(photos),
            "shape": [len(photos), *self.row_shape()],
            "rows": self.format,
        }
        if self.encoder:
            config = self.encoder.config
            content |= {"encoder": [config.name, config.layer, config.stride], "spec": spec_digest(self.encoder)}
            content["weights"] = weights_digest(self.encoder)
            content |= {"dtype": str(self.dtype)} if self.dtype else {}
        return content


def spec_digest(encoder: Encoder) -> str:
    """SHA-256 of what an encoder is built from besides its configuration, in hexadecimal digits; of a user's own its source is a part."""
    digest = hashlib.sha256(json.dumps(encoder.spec(), sort_keys=True).encode())
    if not type(encoder).__module__.startswith("showattend."):
        with suppress(OSError, TypeError):  # without a file, as of a class that was typed in
            digest.update(Path(inspect.getfile(type(encoder))).read_bytes())
    return digest.hexdigest()


def weights_digest(encoder: Encoder) -> str:
    """SHA-256 of an encoder's state, in hexadecimal digits."""
    weights = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return weights.hexdigest()


def files_digest(photos: Sequence[Photo]) -> str:
    """A digest of the files; a photo counts as the same while its path, size and time of change are the same."""
    files = hashlib.sha256()
    for photo in photos:
        status = photo.path.stat()
        line = f"{photo.id} {photo.path.resolve()} {status.st_size} {status.st_mtime_ns}\n"
        files.update(line.encode(errors="surrogateescape"))
    return files.hexdigest()
