"""A finished model, and the record that the config.json of its folder holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.decoding.neighbors import Neighbors
from showattend.encoders import EncoderConfig
from showattend.errors import InputError
from showattend.model_files import COPY_AGAIN
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.vocabulary import Vocabulary

FORMAT = 3


@dataclass(frozen=True)
class Pretrained:
    """Network, vocabulary and settings of a captioner."""

    network: CaptionModel
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    generation: GenerationConfig  # how captions are generated unless the caller says otherwise
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the split that metrics.json names
    trained_on: str = ""  # the name of the training data's folder, for the model card
    neighbors: Neighbors | None = None  # photos of the training, where `showattend neighbors` has added them
    card: str = ""  # the model card that it came with; empty: one is written from the above


@dataclass(frozen=True)
class FolderConfig:
    """The content of config.json."""

    format: int
    showattend: str  # version that wrote it
    encoder: EncoderConfig
    encoder_dim: int  # channels of the encoder's features
    vocabulary_size: int
    decoder: DecoderConfig
    preprocessing: Preprocessing
    generation: GenerationConfig
    sha256: dict[str, str]  # of the files of `model_files.CHECKED` that there are, by name
    tokenizer: str = "nltk"  # what captions were split with
    trained_on: str = ""


def is_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite: a sum that is finite, which is quick to compute, says so for all of them."""
    return bool(torch.isfinite(tensor.sum()) or torch.isfinite(tensor).all())


def check_finite(state: Mapping[str, Tensor], where: Path) -> None:
    """Refuse weights that are NaN or infinite, and variances below zero, of which batch normalisation would make NaN.

    Raises:
        InputError: with the name of the first such tensor.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not is_finite(tensor):
            raise InputError(f"'{name}' of the model {where} is not finite (NaN or infinite): train again with a lower learning rate")
        if name.endswith("running_var") and (tensor < 0).any():
            raise InputError(f"'{name}' of the model {where} is a variance below zero: {COPY_AGAIN}")
