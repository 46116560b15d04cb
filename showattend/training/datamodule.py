"""Batches for Lightning: photos with their captions, from cached features where the encoder is frozen."""

import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from showattend.data.batches import Batch, CaptionedDataset, ExactLengths
from showattend.data.captions import CaptionedPhotos, read_captions
from showattend.errors import InputError, unknown_name
from showattend.features.cache import default_cache_dir, open_or_build_cache
from showattend.vocabulary import Vocabulary, tokenize

BATCHINGS = ("photos", "length")


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
        batching: str = "photos",
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
            batching: photos, with several captions of each; or length: single captions of one length, as the paper
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
        if batching not in BATCHINGS:
            raise unknown_name("batching", batching, BATCHINGS)
        self.batch_size = batch_size
        self.batching = batching
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
        self.tokens = self.vocabulary.tokens  # for the model, which builds its decoder to this size
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
        sources = [open_or_build_cache(photos, view, encoder, self.cache_dir, workers=self.num_workers) for view in views]
        for reason in sources[0].broken.values():
            _report(f"left out: {reason}")
        return CaptionedDataset(photos, sources, self.vocabulary, self.captions_per_photo if training else None)

    def _loader(self, split: str) -> DataLoader[Batch]:
        dataset: Any = self.datasets[split]
        batches: dict[str, Any] = {"batch_size": self.batch_size, "shuffle": split == "train"}
        if split == "train" and self.batching == "length":
            lengths = [[len(caption) for caption in captions] for captions in dataset.encoded]
            batches = {"batch_sampler": ExactLengths(lengths, self.batch_size)}
        return DataLoader(
            dataset,
            **batches,
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
