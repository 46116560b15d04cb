"""Batches for Lightning: photos with their captions, from cached features where the encoder is frozen."""

from itertools import pairwise
from typing import Any

import lightning
import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler

from showattend.data.batches import Batch, CaptionedDataset, PhotoSource, ShareOfBatches, TrainingBatches, by_length
from showattend.data.block_shuffle import BlockShuffledBatches, buffer_for
from showattend.data.captions import CaptionedPhotos, Photo, read_captions
from showattend.data.shared_memory import workers_that_fit
from showattend.encoders import Encoder
from showattend.errors import InputError
from showattend.features.cache import is_cached, open_or_build_cache, open_or_join_caches
from showattend.features.decoded_photos import usable_workers
from showattend.features.manifest import RowOptions
from showattend.features.photo_files import open_photo_files
from showattend.features.row_formats import FLOAT16, INT8
from showattend.files import default_cache_dir
from showattend.inference.precision import Precision, choose_precision
from showattend.ops.cuda_graphs import TRAINS_BESIDE_THREADS
from showattend.training.interruption import ignore_signals
from showattend.training.processes import from_first, gather, report
from showattend.training.run_config import DataConfig
from showattend.vocabulary import BPE, Vocabulary, choose_tokenizer, find_tokenizer

MIN_SHARE = 16  # photos of each process, that a cache is filled by all of them together
FEATURES_AS = {"features": FLOAT16, "int8": INT8}  # by the choice of data.cache


def _build_vocabulary(captions: list[str], config: DataConfig) -> Vocabulary:
    """The vocabulary of the training captions, by the tokeniser that was chosen or that fits them."""
    words = tokenizer = config.tokenizer
    if tokenizer in ("auto", BPE):
        words, reason = choose_tokenizer(captions)
        report(f"{f'subwords of {words} words' if tokenizer == BPE else f'tokenizer {words}'}: {reason} (--data.tokenizer chooses another)")
    if tokenizer == BPE:
        return Vocabulary.build_subwords(captions, words, min_count=config.min_count, max_size=config.max_words)
    tokens = map(find_tokenizer(words), captions)
    return Vocabulary.build(tokens, min_count=config.min_count, max_size=config.max_words, tokenizer=words)


class CaptionDataModule(lightning.LightningDataModule):
    """Captioned photos of one folder."""

    def __init__(self, config: DataConfig) -> None:
        """Read the captions and build the vocabulary; photos are opened later.

        Raises:
            InputError: the captions cannot be read.
        """
        super().__init__()
        self.config = config
        self.cache_dir = config.cache_dir or default_cache_dir()
        self.photos: CaptionedPhotos = read_captions(config.root, config.layout)
        for note in self.photos.notes:
            report(note)
        captions = [caption for photo in self.photos.split("train") for caption in photo.captions]
        self.vocabulary = _build_vocabulary(captions, config)
        self.datasets: dict[str, CaptionedDataset] = {}
        self.seed = torch.initial_seed()
        self.shuffle_buffer = config.shuffle_buffer
        self.position = (0, 0)

    def resume(self, seed: int, shuffle_buffer: int | None, epoch: int, batch: int) -> None:
        """Begin with the batch after `batch` batches of an epoch, in the order and with the draws of an earlier run."""
        self.seed, self.shuffle_buffer = seed, shuffle_buffer
        self.position = (epoch, batch)

    def setup(self, stage: str) -> None:
        """Open, or make, the cached rows of the splits that this stage needs."""
        self.seed = from_first(self.seed)  # which may be a random one
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}[stage]:
            if split not in self.datasets:
                self.datasets[split] = self._dataset(split)

    def _dataset(self, split: str) -> CaptionedDataset:
        photos = self.photos.split(split)
        model: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        training = split == "train"
        views = [model.preprocessing, model.preprocessing.mirrored()] if self.config.flip and training else [model.preprocessing]
        caches_features = model.encoder_is_frozen and self.config.cache in FEATURES_AS
        if training and caches_features and self.config.crop < 1:
            raise InputError("crops need pixels, and features are cached: leave out --data.crop, or give --data.cache pixels")
        # Lightning moves the model only after this.
        encoder = model.network.encoder.to(self.trainer.strategy.root_device) if caches_features else None  # type: ignore[union-attr]
        features_as, dtype = FEATURES_AS.get(self.config.cache, FLOAT16), self._encoder_dtype(encoder)
        sources = [self._source(photos, RowOptions(view, encoder, features_as, dtype)) for view in views]
        for reason in sources[0].broken.values():
            report(f"left out: {reason}")
        if not training:
            return CaptionedDataset(photos, sources, self.vocabulary, None)
        return CaptionedDataset(photos, sources, self.vocabulary, self.config.captions_per_photo, self.config.crop)

    def _encoder_dtype(self, encoder: Encoder | None) -> torch.dtype | None:
        """Of the products of the encoder, where its features are cached."""
        if encoder is None:
            return None
        precision: Precision = from_first(choose_precision(str(self.config.precision), encoder.mean.device, "--data.precision"))
        if precision.note:
            report(f"features in {precision.note}")
        return precision.dtype

    def _source(self, photos: list[Photo], rows: RowOptions) -> PhotoSource:
        """Where the photos are read from."""
        workers = self.config.num_workers
        if self.config.cache == "none":
            return open_photo_files(photos, rows.preprocessing, self.cache_dir, workers=workers)
        self._fill_together(photos, rows)
        return open_or_build_cache(photos, rows, self.cache_dir, workers=workers)

    def _fill_together(self, photos: list[Photo], rows: RowOptions) -> None:
        """Let each of several processes fill the cache of its share of the photos, and the first one join them."""
        trainer: Any = self.trainer
        process, processes = trainer.global_rank, trainer.world_size
        if processes == 1 or len(photos) < MIN_SHARE * processes:
            return
        if from_first(process == 0 and is_cached(photos, rows, self.cache_dir)):
            return
        bounds = [len(photos) * i // processes for i in range(processes + 1)]
        shares = list(pairwise(bounds))
        own = photos[slice(*shares[process])]
        open_or_build_cache(own, rows, self.cache_dir, workers=self.config.num_workers)
        gather(None)  # all shares are there
        if process == 0:
            open_or_join_caches(photos, rows, self.cache_dir, shares=shares)
        gather(None)

    def _loader(self, split: str) -> DataLoader[Batch]:
        dataset: Any = self.datasets[split]
        batches: Sampler[Any] = BatchSampler(SequentialSampler(dataset), self.config.batch_size, drop_last=False)
        if split == "train":
            batches = self._training_batches(dataset)
        trainer: Any = self.trainer
        row = dataset.sources[0].read(dataset.rows[0])
        workers = workers_that_fit(usable_workers(self.config.num_workers), row.nbytes * self.config.batch_size, loaders=2)
        return DataLoader(
            dataset,
            batch_sampler=ShareOfBatches(batches, trainer.global_rank, trainer.world_size),
            generator=torch.Generator().manual_seed(0),  # nothing that loaders draw is used: the global generator is the model's
            num_workers=workers,
            collate_fn=dataset.collate,
            worker_init_fn=ignore_signals,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available() and TRAINS_BESIDE_THREADS,  # in a thread of its own
        )

    def _training_batches(self, dataset: CaptionedDataset) -> TrainingBatches:
        everything: list[tuple[int, int | None]] = [(photo, None) for photo in range(len(dataset))]
        batches: TrainingBatches
        if self.config.batching == "length":
            groups = by_length([[len(caption) for caption in captions] for captions in dataset.encoded])
            batches = TrainingBatches(groups, self.config.batch_size, self.seed)
        elif buffer := self._shuffle_buffer(dataset):
            batches = BlockShuffledBatches(everything, self.config.batch_size, self.seed, buffer, dataset.read_ahead)
        else:
            batches = TrainingBatches([everything], self.config.batch_size, self.seed)
        batches.resume(*self.position)
        return batches

    def tokens_per_batch(self) -> float:
        """The mean number of tokens in a training batch of all processes."""
        dataset = self.datasets["train"]
        drawn = dataset.captions_per_photo if self.config.batching == "photos" else None
        lengths = ([len(caption) for caption in captions] for captions in dataset.encoded)
        tokens = sum(sum(each) / len(each) * min(len(each), drawn or len(each)) for each in lengths if each)
        return tokens / len(self._training_batches(dataset))

    def _shuffle_buffer(self, dataset: CaptionedDataset) -> int:
        """Photos that are shuffled at a time, 0 for all; decided once in a run, for a resumed one may have another memory."""
        if self.shuffle_buffer is None:
            self.shuffle_buffer = buffer_for(len(dataset), sum(source.nbytes for source in dataset.sources))
        return self.shuffle_buffer

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training photos, in a new order each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation photos, in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test photos, in order."""
        return self._loader("test")
