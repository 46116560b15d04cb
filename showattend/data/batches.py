"""Batches of photos with their captions, and the datasets and samplers that make them."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from showattend.data.captions import Photo
from showattend.data.random_crop import random_crop
from showattend.models.inputs import Features, Pixels
from showattend.vocabulary import PAD, Vocabulary


class Batch(NamedTuple):
    """N photos, those with the longest captions first.

    photos: as the source has them, pixels or features
    token_ids: captions with `<start>` and `<end>`, the longest of a photo first, then `<pad>`; (N,G,T)
    ids: the photos' ids
    references: the words of each caption of each photo
    is_counted: false: the photo only occupies a process that has none of a batch, see `ShareOfBatches`
    """

    photos: Pixels | Features
    token_ids: Tensor
    ids: list[int | str]
    references: list[list[list[str]]]
    is_counted: bool = True


class PhotoSource(Protocol):
    """Rows of pixels or features, one for each photo, such as `features.cache.PhotoCache`."""

    @property
    def input_type(self) -> type[Pixels] | type[Features]:
        """Which of the two a batch of rows is."""

    @property
    def broken(self) -> dict[int, str]:
        """Rows of photos that could not be read, with the reason."""

    @property
    def nbytes(self) -> int:
        """Size of all rows on the disk; 0: they are not kept."""

    def read(self, row: int) -> Tensor:
        """The pixels (3,S,S) or features (L,D) of one photo."""

    def read_ahead(self, first: int, count: int) -> None:
        """Announce that rows will be read soon."""


class Sample(NamedTuple):
    """One photo with some of its captions.

    photo: pixels (3,S,S) or features (L,D)
    captions: the token ids of each caption
    photo_index: index of the photo in the dataset
    is_counted: as of `Batch`
    """

    photo: Tensor
    captions: list[list[int]]
    photo_index: int
    is_counted: bool = True


class SampleKey(NamedTuple):
    """One visit of a photo.

    photo: index in the dataset
    caption: index of one caption; None: all, or as many as the dataset draws
    seed: of what is drawn at this visit
    is_counted: as of `Batch`
    """

    photo: int
    caption: int | None = None
    seed: int = 0
    is_counted: bool = True


class CaptionedDataset(Dataset[Sample]):
    """Photos that can be read, each with some of its captions.

    Args:
        sources: where photos are read from; of several (such as mirrored ones), one is drawn at each visit
        captions_per_photo: G, drawn at each visit where there are more; None takes all
        crop: smallest share of a photo's pixels that a random crop shows; 1: none is cropped
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        sources: Sequence[PhotoSource],
        vocabulary: Vocabulary,
        captions_per_photo: int | None,
        crop: float = 1.0,
    ) -> None:
        self.sources = sources
        self.crop = crop
        self.captions_per_photo = captions_per_photo
        self.rows = [row for row in range(len(photos)) if row not in sources[0].broken]
        self.ids = [photos[row].id for row in self.rows]
        captions = [photos[row].captions for row in self.rows]
        self.references = [[vocabulary.split_words(caption) for caption in of_photo] for of_photo in captions]
        self.encoded = [[vocabulary.encode(vocabulary.tokenize(caption)) for caption in of_photo] for of_photo in captions]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | SampleKey) -> Sample:
        """A photo with its captions; an index stands for the key with the seed 0."""
        photo, caption, seed, is_counted = key if isinstance(key, tuple) else SampleKey(key)
        rng = torch.Generator().manual_seed(seed)
        source = self.sources[int(torch.randint(len(self.sources), (), generator=rng))]
        captions = self.encoded[photo] if caption is None else [self.encoded[photo][caption]]
        if self.captions_per_photo is not None and len(captions) > self.captions_per_photo:
            captions = [captions[i] for i in torch.randperm(len(captions), generator=rng)[: self.captions_per_photo]]
        row = source.read(self.rows[photo])
        return Sample(random_crop(row, self.crop, rng) if self.crop < 1 else row, captions, photo, is_counted)

    def read_ahead(self, first: int, count: int) -> None:
        """Announce to the sources that photos from `first` on will be read soon."""
        rows = self.rows[first : first + count]
        for source in self.sources:
            source.read_ahead(rows[0], rows[-1] + 1 - rows[0])

    def collate(self, samples: list[Sample]) -> Batch:
        """Put samples into the order that the decoder needs, the longest captions first, and pad them."""
        samples = [sample._replace(captions=sorted(sample.captions, key=len, reverse=True)) for sample in samples]
        samples.sort(key=lambda sample: len(sample.captions[0]), reverse=True)
        group = max(len(sample.captions) for sample in samples)
        padded = [sample.captions + [[]] * (group - len(sample.captions)) for sample in samples]
        rows = [torch.tensor(caption, dtype=torch.long) for captions in padded for caption in captions]
        return Batch(
            self.sources[0].input_type(torch.stack([sample.photo for sample in samples])),
            pad_sequence(rows, batch_first=True, padding_value=PAD).unflatten(0, (len(samples), group)),
            [self.ids[sample.photo_index] for sample in samples],
            [self.references[sample.photo_index] for sample in samples],
            all(sample.is_counted for sample in samples),
        )


class TrainingBatches(Sampler[list[SampleKey]]):
    """Batches in random order, for each epoch another one that depends on nothing but the seed and the epoch.

    A resumed run therefore repeats it, from any batch on, and so does a run with another number of worker processes.

    Args:
        groups: pairs (photo, caption) of indices; a batch holds pairs of one group. None for a caption: see `SampleKey`
    """

    def __init__(self, groups: Sequence[Sequence[tuple[int, int | None]]], batch_size: int, seed: int) -> None:
        self.groups = groups
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.skipped = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def resume(self, epoch: int, batch: int) -> None:
        """Begin the next iteration in an epoch after a number of its batches."""
        self.epoch = epoch
        self.skipped = (epoch, batch)

    def __len__(self) -> int:
        return sum(math.ceil(len(pairs) / self.batch_size) for pairs in self.groups)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        digest = hashlib.sha256(f"{self.seed} {self.epoch}".encode()).digest()
        rng = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        batches = []
        for pairs in self.groups:
            order = self._order(len(pairs), rng)
            seeds = torch.randint(2**62, (len(pairs),), generator=rng).tolist()
            keys = [SampleKey(pairs[i][0], pairs[i][1], seed) for i, seed in zip(order, seeds, strict=True)]
            batches += [keys[begin : begin + self.batch_size] for begin in range(0, len(keys), self.batch_size)]
        if len(self.groups) > 1:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=rng).tolist()]
        return iter(batches[self.first_batch :])

    @property
    def first_batch(self) -> int:
        """The batch of this epoch that an iteration begins with."""
        return self.skipped[1] if self.skipped[0] == self.epoch else 0

    def _order(self, count: int, rng: torch.Generator) -> list[int]:
        """The order of a group's pairs in this epoch."""
        return torch.randperm(count, generator=rng).tolist()


class ShareOfBatches(Sampler[list[int] | list[SampleKey]]):
    """The part of every batch that falls to one of several processes: photo i to process i modulo their number.

    All processes therefore do as many steps as a single one would, and together see its batches. Where a batch has fewer photos than
    there are processes, those without any get its first photo, which does not count.

    Args:
        batches: of all processes together
    """

    def __init__(self, batches: Sampler[list[int]] | Sampler[list[SampleKey]], process: int, processes: int) -> None:
        self.sampler = batches  # where Lightning looks for `set_epoch`
        self.process = process
        self.processes = processes

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int] | list[SampleKey]]:
        for batch in self.sampler:
            first = batch[0]
            key = first if isinstance(first, SampleKey) else SampleKey(first)
            yield batch[self.process :: self.processes] or [key._replace(is_counted=False)]


def by_length(lengths: Sequence[Sequence[int]]) -> list[list[tuple[int, int | None]]]:
    """Groups of captions of one length, for `TrainingBatches` (Xu et al. 2015, section 4.3).

    Args:
        lengths: the length of each caption of each photo
    """
    groups: dict[int, list[tuple[int, int | None]]] = {}
    for photo, captions in enumerate(lengths):
        for caption, length in enumerate(captions):
            groups.setdefault(length, []).append((photo, caption))
    return list(groups.values())
