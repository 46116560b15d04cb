"""Photos per second from JPEG files on, and the parts of the pipeline that take the time.

    python scripts/bench_pipeline.py                                          all cases, MobileNetV2
    python scripts/bench_pipeline.py epoch --encoder resnet101 --stride 16    a whole epoch against the way of most tutorials
    python scripts/bench_pipeline.py caption --photos DIR                     your photos instead of random ones

  extract   files to cached features, against the CNN alone on a batch in memory, in float32
  bf16      files to cached features with products of bfloat16 in the CNN, against the same in float32
  caption   files to captions of 12 tokens by beam 3, against the CNN alone; --precision is of both parts
  train     an epoch from the cache with Lightning, optimiser included, five captions of each photo
  epoch     the same against the way of most tutorials: for each caption the photo is read and encoded again, and decoded by
            scripts/plain_decoder.py; this is measured on one batch of 32

The first round, which fills the cache and compiles, is not counted. Weights are random; H = A = E = 512, V = 10,000. Cases take
turns, and the table shows the median round of each.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, add_names, draw_photos, make_parser, print_head, random_lengths, verdict, write_json
from lightning import Trainer
from plain_decoder import PlainDecoder
from torch.nn import functional as F
from torch.utils.data.dataloader import _BaseDataLoaderIter
from tqdm import tqdm

from showattend.data.captions import Photo
from showattend.data.photos import find_photos
from showattend.decoding import GenerationConfig
from showattend.encoders import Encoder, EncoderConfig
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.features import cache
from showattend.features.manifest import RowOptions
from showattend.inference import Captioner
from showattend.inference.ensemble import Ensemble
from showattend.pretrained import Pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig, OptimizerConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.run_config import DataConfig
from showattend.vocabulary import END, PAD, Vocabulary

# What a case runs: its own measurement, and the one that it is compared with.
CASES = {
    "extract": ("extract", "cnn_only"),
    "bf16": ("extract_bfloat16", "extract"),
    "caption": ("caption", "cnn_only"),
    "train": ("train",),
    "epoch": ("train", "plain_epoch"),
}
# On two cores, by the encoder: captions against the CNN alone, and features in bfloat16 against float32 in a 14x14 grid.
TARGETS = {"mobilenet_v2": {"caption": 0.6}, "resnet101": {"bf16": 3.0}}
V, MAX_LENGTH, BATCH, CAPTIONS = 10_000, 12, 32, 5
# The main process waits for photos from the loader, and for the CNN, which runs while the batch before is captioned or written.
LOADING = {"reading": (_BaseDataLoaderIter, "__next__")}


class Round(NamedTuple):
    """One run of a measurement.

    rate: photos per second
    shares: of the time, by part
    """

    rate: float
    shares: dict[str, float]


@contextmanager
def timing(owner: Any, name: str, part: str, seconds: Counter[str]) -> Iterator[None]:
    """Add the time of a function's calls to `seconds` inside the block."""
    function: Callable[..., Any] = getattr(owner, name)

    def timed_function(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[part] += time.perf_counter() - started

    with patch.object(owner, name, timed_function):
        yield


def run_round(run: Callable[[], Any], photos: float, **parts: tuple[Any, str]) -> Round:
    """Run once; `parts` are functions, by owner and name, whose time is measured."""
    seconds: Counter[str] = Counter()
    with ExitStack() as stack:
        for part, (owner, name) in parts.items():
            stack.enter_context(timing(owner, name, part, seconds))
        started = time.perf_counter()
        run()
        total = time.perf_counter() - started
    return Round(photos / total, {part: seconds[part] / total for part in parts} | {"rest": 1 - sum(seconds.values()) / total})


def write_captions(path: Path, photos: Sequence[Path]) -> None:
    """Random captions as long as Flickr8k's; the last photo is for validation."""
    lengths = random_lengths(CAPTIONS * len(photos)) - 1  # without <end>
    captions = iter([" ".join(f"word{index}" for index in torch.randint(V - 4, (length,)).tolist()) for length in lengths.tolist()])
    lines = [f"{photo.resolve()},{next(captions)},{'val' if photo == photos[-1] else 'train'}" for photo in photos for _ in range(CAPTIONS)]
    path.write_text("\n".join(["image,caption,split", *lines, ""]))


class Bench:
    """A model with random weights, photos with captions, and a method for each measurement."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        torch.manual_seed(0)
        self.workers, self.folder = options.workers, folder
        self.paths = find_photos([options.photos]).paths[: options.count] if options.photos else draw_photos(folder, options.count)
        write_captions(folder / "captions.csv", self.paths)
        self.data = CaptionDataModule(DataConfig(folder, "csv", min_count=1, cache_dir=folder / "cache", num_workers=self.workers))
        words = self.data.vocabulary.tokens
        words = [*words, *(f"unused{index}" for index in range(V - len(words)))]
        encoder = EncoderConfig(options.encoder, "none", stride=options.stride)
        self.lit = LitCaptioner(Vocabulary(words), CaptionerConfig(encoder, optimizer=OptimizerConfig(schedule="constant"), fuse="always"))
        self.encoder = self.lit.network.encoder
        model = Pretrained(self.lit.network, self.lit.vocabulary, self.lit.preprocessing, GenerationConfig(3, MAX_LENGTH))
        self.captioner = Captioner(model, "cpu", fuse="always", precision=options.precision)
        self.pixels = self._load_pixels(BATCH)

    def _load_pixels(self, count: int) -> torch.Tensor:
        return torch.stack([self.lit.preprocessing.load(path)[0] for path in self.paths[:count]])

    @torch.inference_mode()
    def cnn_only(self) -> Round:
        """The CNN and nothing else."""
        batches, extractor = max(1, len(self.paths) // BATCH), FeatureExtractor(self.encoder.eval())
        extractor(self.pixels)  # folds batch normalisation
        return run_round(lambda: [extractor(self.pixels) for _ in range(batches)], batches * len(self.pixels))

    def extract(self, dtype: torch.dtype | None = None) -> Round:
        """Files to features on disk."""
        rows = RowOptions(self.lit.preprocessing, self.encoder, dtype=dtype)
        photos = [Photo(index, path, ()) for index, path in enumerate(self.paths)]
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            run = lambda: cache.open_or_build_cache(photos, rows, Path(folder), workers=self.workers)  # noqa: E731
            return run_round(run, len(photos), **LOADING, cnn=(FeatureExtractor, "_collect"))

    def extract_bfloat16(self) -> Round:
        """The same, with products of bfloat16."""
        return self.extract(torch.bfloat16)

    def caption(self) -> Round:
        """Files to captions."""
        with torch.no_grad():
            self.lit.network.decoder.output.bias[END] = -100.0  # all captions have MAX_LENGTH tokens
        self.captioner.ensemble.decoders = [self.lit.network.eval().inference_decoder(self.captioner.ensemble.dtype)]
        run = lambda: list(self.captioner.caption_files(self.paths, workers=self.workers))  # noqa: E731
        return run_round(run, len(self.paths), **LOADING, cnn=(FeatureExtractor, "_collect"), search=(Ensemble, "generate"))

    def train(self) -> Round:
        """An epoch from the cache."""
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = Trainer(accelerator="cpu", max_epochs=1, limit_val_batches=0, **quiet)
        run = lambda: trainer.fit(self.lit.train(), self.data)  # noqa: E731
        parts = {"forward": (LitCaptioner, "training_step"), "backward": (torch.autograd, "backward")}
        return run_round(run, len(self.data.photos.split("train")), **LOADING, **parts)

    def plain_epoch(self, captions: int = BATCH) -> Round:
        """Part of an epoch the way of most tutorials, counted in photos of CAPTIONS captions."""
        decoder = PlainDecoder(self.encoder.channels, 512, 512, 512, V)
        optimizer = torch.optim.AdamW(decoder.parameters())
        token_ids = next(iter(self.data.train_dataloader())).token_ids.flatten(0, 1)[::CAPTIONS][:captions]

        def run() -> None:
            with torch.no_grad():
                features = self.encoder.eval()(self._load_pixels(captions))[0]
            logits, _ = decoder(features, token_ids[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten(), ignore_index=PAD).backward()
            optimizer.step()

        return run_round(run, captions / CAPTIONS, cnn=(Encoder, "forward"))


def measure(bench: Bench, names: Sequence[str], rounds: int) -> dict[str, list[Round]]:
    """The rounds of every measurement that the cases need, in turn."""
    needed = dict.fromkeys(measurement for name in names for measurement in CASES[name])
    results: dict[str, list[Round]] = {name: [] for name in needed}
    with tqdm(total=(1 + rounds) * len(needed), unit=" rounds", disable=None) as bar:
        for index in range(1 + rounds):
            for name in needed:
                result = getattr(bench, name)()
                if index:  # the first round compiles
                    results[name].append(result)
                bar.update()
    return results


def report(name: str, results: dict[str, list[Round]], table: Table, target: float | None) -> dict[str, Any]:
    """A case as one object; adds its row."""
    ours, *others = CASES[name]
    rates = {case: [one.rate for one in results[case]] for case in (ours, *others)}
    medians = {case: statistics.median(values) for case, values in rates.items()}
    shares = {part: statistics.median(one.shares[part] for one in results[ours]) for part in results[ours][0].shares}
    ratio = medians[ours] / medians[others[0]] if others else None
    times = f"{ratio or 0:.1f}x"
    own_words = {"epoch": f"{times} the plain way", "bf16": f"{times} float32", "train": ""}
    comparison = own_words.get(name, f"{ratio or 0:.0%} of the CNN alone")
    parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    told = verdict(ratio or 0, target)
    table.add(name, f"{medians[ours]:.1f}", comparison, told, note=parts)
    spread = {case: [min(values), max(values)] for case, values in rates.items()}
    return {"case": name, "ratio": ratio, "photos_per_s": medians, "spread": spread, "shares": shares, "verdict": told}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = make_parser(__doc__, rounds=3)
    add_names(parser, "case", list(CASES))
    parser.add_argument("--encoder", default="mobilenet_v2", help="of torchvision (default: %(default)s)")
    parser.add_argument("--stride", type=int, help="pixels per location of its grid (default: its own)")
    parser.add_argument("--photos", metavar="DIR", help="JPEG files (default: random ones of 500x375)")
    parser.add_argument("--count", type=int, default=256, help="photos (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read photos ahead (default: %(default)s)")
    parser.add_argument("--precision", default="32", help="of captions: 32, bf16, int8 or auto (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the network (default: torch's)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    names = options.names or list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Bench(options, Path(folder)), names, options.rounds)
    print_head("cpu", options.encoder, f"captions in {options.precision}", f"{options.workers} workers", f"{options.count} photos")
    table, targets = Table(("case", 8), ("photos/s", 9), ("", 22), ("target", 12)), TARGETS.get(options.encoder, {})
    rows = [report(name, results, table, targets.get(name)) for name in names]
    write_json(options.json, [{**row, "encoder": options.encoder, "precision": options.precision} for row in rows])


if __name__ == "__main__":
    main()
