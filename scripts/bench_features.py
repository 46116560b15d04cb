"""What the choices of `--data.cache` cost: space on the disk, speed of training when memory does not hold the cache, and captions.

  python scripts/bench_features.py                                   space and speed, on rows of random numbers
  python scripts/bench_features.py --model DIR --data DIR            and the scores of a model's captions from each kind of rows

space   bytes a photo, and gigabytes of Flickr8k, Flickr30k and COCO with their mirror images left out
speed   training steps of the decoder (H = A = E = 512, V = 10,000, five captions of each photo) on one thread, with rows that the
        system holds in memory, and with none of them there: rows read one by one in random order, or in blocks (data/block_shuffle.py)
scores  BLEU-4 and CIDEr-D on the validation photos, from features in half precision and in int8
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from bench_common import Table, add_names, make_parser, print_head, random_lengths, write_json
from torch.utils.data import DataLoader

from showattend.data.batches import Batch, CaptionedDataset, TrainingBatches
from showattend.data.block_shuffle import BlockShuffledBatches
from showattend.data.captions import Photo, read_captions
from showattend.features.cache import PhotoCache, open_or_build_cache
from showattend.features.manifest import RowOptions
from showattend.features.row_formats import FLOAT16, INT8, PIXELS, encode_rows, row_type
from showattend.metrics import corpus_scores
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.pretrained import load_pretrained
from showattend.vocabulary import Vocabulary

SETS = {"Flickr8k": 8_091, "Flickr30k": 31_783, "COCO": 123_287}  # photos
GRIDS = {"7x7x1280 (MobileNetV2)": (49, 1280), "9x9x1280 (EfficientNet-Lite2)": (81, 1280), "14x14x1024 (ResNet-101)": (196, 1024)}
V, BATCH, CAPTIONS = 10_000, 32, 5
KINDS = (FLOAT16, INT8)  # of rows of features


def print_space() -> None:
    """A row for each kind of rows and grid."""
    kinds = [(grid, name, shape) for grid, shape in GRIDS.items() for name in KINDS] + [("224x224 pixels", PIXELS, (3, 224, 224))]
    table = Table(("grid", 29), ("rows", 8), ("a photo", 9), *((data, 10) for data in SETS))
    for grid, name, shape in kinds:
        size = row_type(name, shape).itemsize
        table.add(grid, name, f"{size / 1e3:.0f} kB", *(f"{size * photos / 1e9:.1f} GB" for photos in SETS.values()))


def random_cache(path: Path, name: str, rows: int) -> PhotoCache:
    """A cache file of random features, 7x7x1280."""
    shape = GRIDS["7x7x1280 (MobileNetV2)"]
    block = encode_rows(name, torch.rand(64, *shape, generator=torch.Generator().manual_seed(0))).tobytes()
    with path.open("wb") as file:
        for _ in range(rows // 64):
            file.write(block)
        os.fsync(file.fileno())
    return PhotoCache(path, 0, (rows // 64 * 64, *shape), row_type(name, shape), {})


def forget(cache: PhotoCache) -> None:
    """Let the system drop the file from memory."""
    with cache.path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Training:
    """Steps of a decoder on the rows of a cache."""

    def __init__(self, cache: PhotoCache) -> None:
        torch.manual_seed(0)
        words = [f"word{index}" for index in range(V - 4)]
        self.vocabulary = Vocabulary.build([words])
        captions = [
            " ".join(np.random.default_rng(row).choice(words, int(length) - 1)) for row, length in enumerate(random_lengths(CAPTIONS))
        ]
        photos = [Photo(row, cache.path, tuple(captions)) for row in range(cache.shape[0])]
        self.dataset = CaptionedDataset(photos, [cache], self.vocabulary, CAPTIONS)
        config = DecoderConfig(embedding_size=512, hidden_size=512, attention_size=512)
        self.decoder = Decoder(config, vocabulary_size=len(self.vocabulary), encoder_dim=cache.shape[-1])
        self.optimizer = torch.optim.AdamW(self.decoder.parameters(), fused=True)

    def photos_per_second(self, batches: TrainingBatches, steps: int) -> tuple[float, float]:
        """The speed of training, and that of reading alone, after one batch each."""
        loader: Iterator[Batch] = iter(DataLoader(self.dataset, batch_sampler=batches, collate_fn=self.dataset.collate, num_workers=1))
        self._step(next(loader))
        started = time.perf_counter()
        for _ in range(steps):
            self._step(next(loader))
        trained = time.perf_counter()
        others = sum(len(batch.ids) for batch in loader)
        return steps * BATCH / (trained - started), others / (time.perf_counter() - trained)

    def _step(self, batch: Batch) -> None:
        input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids)
        output = self.decoder(batch.photos.values.float(), input_ids)
        caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask)).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def ways(training: Training, buffer: int) -> dict[str, tuple[TrainingBatches, bool]]:
    """The order of rows by name, and whether they come from the disk."""
    photos: list[tuple[int, int | None]] = [(photo, None) for photo in range(len(training.dataset))]
    anywhere = TrainingBatches([photos], BATCH, 0)
    in_blocks = BlockShuffledBatches(photos, BATCH, 0, buffer, training.dataset.read_ahead)
    return {"in memory": (anywhere, False), "from disk, row by row": (anywhere, True), "from disk, in blocks": (in_blocks, True)}


def speed(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each kind of rows and way to read them."""
    results = []
    table = Table(("rows", 8), ("read", 22), ("photos/s trained", 17), ("of in memory", 13), ("photos/s read", 14))
    for name in options.names or KINDS:
        cache = random_cache(folder / f"{name}.npy", name, options.rows)
        training = Training(cache)
        rates: dict[str, list[tuple[float, float]]] = {}
        for _ in range(options.rounds):
            for way, (batches, cold) in ways(training, options.buffer).items():
                forget(cache) if cold else cache.path.read_bytes()
                rates.setdefault(way, []).append(training.photos_per_second(batches, options.steps))
        medians = {way: np.median(measured, axis=0) for way, measured in rates.items()}
        for way, (trained, read) in medians.items():
            share = trained / medians["in memory"][0]
            table.add(name, way, f"{trained:.1f}", f"{share:.0%}", f"{read:.0f}")
            results.append(
                {"case": "speed", "rows": name, "way": way, "trained": trained, "share": share, "read": read, "rounds": rates[way]}
            )
        cache.path.unlink()
    return results


@torch.inference_mode()
def scores(model: Path, data: Path, cache_dir: Path) -> list[dict[str, Any]]:
    """A row for each kind of features: what a model says of the validation photos."""
    pretrained = load_pretrained(model)
    network = pretrained.network.eval()
    photos = read_captions(data).split("val")
    results = []
    table = Table(("rows", 8), ("BLEU-4", 8), ("CIDEr-D", 8))
    for name in KINDS:
        cache = open_or_build_cache(photos, RowOptions(pretrained.preprocessing, network.encoder, name), cache_dir)
        dataset = CaptionedDataset(photos, [cache], pretrained.vocabulary, None)
        captions: dict[int | str, list[str]] = {}
        for begin in range(0, len(dataset), BATCH):
            batch = dataset.collate([dataset[photo] for photo in range(begin, min(begin + BATCH, len(dataset)))])
            found = network.caption(Features(batch.photos.values), pretrained.generation).token_ids[:, 0].tolist()
            captions |= {photo: pretrained.vocabulary.decode_words(token_ids) for photo, token_ids in zip(batch.ids, found, strict=True)}
        values = corpus_scores(captions, dict(zip(dataset.ids, dataset.references, strict=True)))
        table.add(name, f"{values['bleu4']:.4f}", f"{values['cider_d']:.4f}")
        results.append({"case": "scores", "rows": name, **values})
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each case."""
    parser = make_parser(__doc__, rounds=3)
    add_names(parser, "kind", KINDS)
    parser.add_argument("--rows", type=int, default=6400, help="photos in the cache of random numbers (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="training steps of each measurement (default: %(default)s)")
    parser.add_argument("--buffer", type=int, default=1024, help="photos that are shuffled at a time (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where random rows are written, on the disk to be measured (default: a temporary one)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of a model whose captions are scored")
    parser.add_argument("--data", type=Path, metavar="DIR", help="its data set")
    options = parser.parse_args(arguments)
    if (options.model is None) != (options.data is None):
        parser.error("--model and --data go together")
    torch.set_num_threads(1)
    print_head("cpu", f"{options.rows} rows", f"buffer {options.buffer}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print_space()
        results = speed(options, Path(folder))
        if options.model:
            results += scores(options.model, options.data, Path(folder))
    write_json(options.json, results)


if __name__ == "__main__":
    main()
