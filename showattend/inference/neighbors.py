"""The photos of a training set as a model sees them, to be the neighbors of other photos."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from showattend.data.captions import Photo
from showattend.decoding.neighbors import Neighbors
from showattend.errors import InputError
from showattend.features.cache import PhotoCache, open_or_build_cache
from showattend.features.manifest import RowOptions
from showattend.generation_config import MAX_LENGTH, MAX_NEIGHBORS
from showattend.pretrained import Pretrained
from showattend.vocabulary import PAD, Vocabulary


def neighbors_of(
    model: Pretrained, photos: Sequence[Photo], cache_dir: Path, *, device: torch.device, workers: int = 1
) -> tuple[Neighbors, int]:
    """The features of photos, by the encoder of a model, and their captions in its words; photos that cannot be read are left out.

    Args:
        cache_dir: of features, which a training with this encoder has filled with the same photos, or else is filled now

    Returns:
        the neighbors, of more than MAX_NEIGHBORS so many, drawn at random; and how many photos could not be read

    Raises:
        InputError: see `open_or_build_cache`; the captions have no words.
    """
    rows_of_features = RowOptions(model.preprocessing, model.network.encoder.to(device))
    cache = open_or_build_cache(photos, rows_of_features, cache_dir, workers=workers)
    rows = [row for row in range(len(photos)) if row not in cache.broken]
    if len(rows) > MAX_NEIGHBORS:
        rows = sorted(random.Random(0).sample(rows, MAX_NEIGHBORS))
    token_ids = _token_ids([photos[row] for row in rows], model.vocabulary)
    if not token_ids.numel():
        raise InputError("the captions of the photos have no words: give others")
    return Neighbors.from_photos(_mean_features(cache, rows), token_ids), len(cache.broken)


def _mean_features(cache: PhotoCache, rows: Sequence[int]) -> Tensor:
    return torch.stack([cache.read(row).float().mean(0) for row in rows])


def _token_ids(photos: Sequence[Photo], vocabulary: Vocabulary) -> Tensor:
    """The words of all captions, without `<start>` and `<end>`, padded, (P,C,U)."""
    count = max(len(photo.captions) for photo in photos)
    captions = [caption for photo in photos for caption in (*photo.captions, *[""] * (count - len(photo.captions)))]
    rows = [torch.tensor(vocabulary.encode(vocabulary.tokenize(caption))[1:-1][:MAX_LENGTH], dtype=torch.int32) for caption in captions]
    token_ids: Tensor = pad_sequence(rows, batch_first=True, padding_value=PAD).unflatten(0, (len(photos), count))
    return token_ids
