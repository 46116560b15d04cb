"""Batches for Lightning: photos with all their captions, from cached features where the encoder is frozen."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from showattend.data.cache import PhotoCache, cached, default_cache_dir
from showattend.data.captions import CaptionedPhotos, Photo, read_captions
from showattend.errors import InputError
from showattend.vocabulary import PAD, Vocabulary, tokenize


class Batch(NamedTuple):
    """N photos, those with the longest captions first.

    photos: bytes (N,3,S,S), or annotations (N,L,D)
    words: captions with `<start>` and `<end>`, the longest of a photo first, then `<pad>`; (N,G,T)
    ids: the photos' ids
    references: the tokens of each caption of each photo
    """

    photos: Tensor
    words: Tensor
    ids: list[int | str]
    references: list[list[list[str]]]


class CaptionedDataset(Dataset[tuple[Tensor, list[list[int]], int]]):
    """One photo and some of its captions at a time.

    Args:
        sources: what to read photos from; with several (mirrored ones), one is drawn at each visit
        captions_per_photo: G, drawn at each visit where there are more; None takes all
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        sources: Sequence[PhotoCache],
        vocabulary: Vocabulary,
        captions_per_photo: int | None,
    ) -> None:
        self.sources = sources
        self.captions_per_photo = captions_per_photo
        self.rows = [row for row in range(len(photos)) if row not in sources[0].broken]
        self.ids = [photos[row].id for row in self.rows]
        self.references = [[tokenize(caption) for caption in photos[row].captions] for row in self.rows]
        self.encoded = [[vocabulary.encode(tokens) for tokens in said] for said in self.references]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, list[list[int]], int]:
        source = self.sources[int(torch.randint(len(self.sources), ()))] if len(self.sources) > 1 else self.sources[0]
        captions = self.encoded[index]
        if self.captions_per_photo is not None and len(captions) > self.captions_per_photo:
            captions = [captions[i] for i in torch.randperm(len(captions))[: self.captions_per_photo]]
        return source.read(self.rows[index]), captions, index

    def collate(self, items: list[tuple[Tensor, list[list[int]], int]]) -> Batch:
        """Sort as the decoder likes it and pad."""
        items = [(photo, sorted(captions, key=len, reverse=True), index) for photo, captions, index in items]
        items.sort(key=lambda item: len(item[1][0]), reverse=True)
        group = max(len(captions) for _, captions, _ in items)
        rows = [torch.tensor(caption, dtype=torch.long) for _, said, _ in items for caption in said + [[]] * (group - len(said))]
        words = pad_sequence(rows, batch_first=True, padding_value=PAD).unflatten(0, (len(items), group))
        indices = [index for _, _, index in items]
        return Batch(
            torch.stack([photo for photo, _, _ in items]),
            words,
            [self.ids[i] for i in indices],
            [self.references[i] for i in indices],
        )


@rank_zero_only
def _report(what: str) -> None:
    print(what, file=sys.stderr)


class CaptionDataModule(lightning.LightningDataModule):
    """Captioned photos of one folder."""

    def __init__(
        self,
        root: Path,
        layout: str = "auto",
        batch_size: int = 32,
        captions_per_photo: int | None = 5,
        flip: bool = False,
        min_count: int = 5,
        max_words: int | None = None,
        cache_dir: Path | None = None,
        num_workers: int = 1,
    ) -> None:
        """Read the captions and build the vocabulary; photos are opened later.

        Args:
            root: folder of the data set (data/README.md shows the layouts)
            layout: auto, flickr8k, karpathy, coco, images-csv or csv
            batch_size: photos in a batch; each brings its captions
            captions_per_photo: captions of a photo in a batch, drawn anew each time where there are more; null: all
            flip: train on mirrored photos too
            min_count: a word that occurs less often in the training captions becomes <unk>
            max_words: size of the vocabulary at most, the special words not counted; null: no limit
            cache_dir: where features of a frozen encoder are kept; null: the folder showattend in the user's cache folder
            num_workers: processes that read photos while the network works
        """
        super().__init__()
        if batch_size < 1 or (captions_per_photo is not None and captions_per_photo < 1):
            raise InputError("batch_size and captions_per_photo must be at least 1")
        self.batch_size = batch_size
        self.captions_per_photo = captions_per_photo
        self.flip = flip
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self.num_workers = num_workers
        self.photos: CaptionedPhotos = read_captions(root, layout)
        for note in self.photos.notes:
            _report(note)
        train = self.photos.split("train")
        self.vocabulary = Vocabulary.build(
            (tokenize(caption) for photo in train for caption in photo.captions), min_count=min_count, max_size=max_words
        )
        self.words = self.vocabulary.words  # for the model, which builds its decoder to this size
        self.datasets: dict[str, CaptionedDataset] = {}

    def setup(self, stage: str) -> None:
        """Open, or make, the cached rows of the splits that this stage needs."""
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}[stage]:
            if split not in self.datasets:
                self.datasets[split] = self._dataset(split)

    def _dataset(self, split: str) -> CaptionedDataset:
        photos = self.photos.split(split)
        model: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        training = split == "train"
        views = [model.preprocessing, model.preprocessing.mirrored()] if self.flip and training else [model.preprocessing]
        # Lightning moves the model only after this.
        encoder = model.network.encoder.to(self.trainer.strategy.root_device) if model.encoder_is_frozen else None  # type: ignore[union-attr]
        sources = [cached(photos, view, encoder, self.cache_dir, workers=self.num_workers) for view in views]
        for reason in sources[0].broken.values():
            _report(f"left out: {reason}")
        return CaptionedDataset(photos, sources, self.vocabulary, self.captions_per_photo if training else None)

    def _loader(self, split: str) -> DataLoader[Batch]:
        dataset: Any = self.datasets[split]
        return DataLoader(
            dataset,
            self.batch_size,
            shuffle=split == "train",
            num_workers=self.num_workers,
            collate_fn=dataset.collate,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training photos, in a new order each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation photos, in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test photos, in order."""
        return self._loader("test")
