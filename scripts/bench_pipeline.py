"""How many photos a second go through the whole of it, from JPEG files on, and where does the time go?

    python scripts/bench_pipeline.py                                          all cases, MobileNetV2
    python scripts/bench_pipeline.py epoch --encoder resnet101 --stride 16    a whole epoch against the way of most tutorials
    python scripts/bench_pipeline.py caption --photos DIR                     your photos instead of drawn ones

  extract   files to cached annotations, against the CNN alone on a batch that lies ready
  caption   files to captions of 12 words by beam 3, against the same
  train     an epoch from the cache with Lightning, optimiser and all, five captions of each photo
  epoch     such an epoch against the way of most tutorials, which reads a photo and shows it to the CNN again for each of its captions
            and speaks with the decoder of scripts/yardstick.py; theirs is taken from one batch of 32

The first epoch, which fills the cache and compiles, is not counted. Weights are random; H = A = E = 512, V = 10,000. Cases take turns, and
of each the median lap is shown.
"""

import argparse
import json
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

import numpy as np
import torch
from bench_decoder import LENGTHS
from lightning import Trainer
from PIL import Image
from torch.nn import functional as F
from torch.utils.data.dataloader import _BaseDataLoaderIter
from tqdm import tqdm
from yardstick import Yardstick

from showattend.data import cache
from showattend.data.captions import Photo
from showattend.data.photos import find_photos
from showattend.decoding import GenerationConfig
from showattend.encoders import Encoder, EncoderConfig
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.inference import Captioner, ensemble
from showattend.pretrained import Pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig, DataConfig, OptimizerConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.vocabulary import END

CASES = ("extract", "caption", "train", "epoch")
V, WORDS, BATCH, ROWS = 10_000, 12, 32, 5


class Lap(NamedTuple):
    """One way through a case.

    rate: photos a second
    shares: of the time, by what it was spent on
    """

    rate: float
    shares: dict[str, float]


@contextmanager
def timed(owner: Any, name: str, part: str, seconds: Counter[str]) -> Iterator[None]:
    """Count the seconds that a function takes while this lasts."""
    function: Callable[..., Any] = getattr(owner, name)

    def run(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            seconds[part] += time.perf_counter() - started

    with patch.object(owner, name, run):
        yield


def lap(run: Callable[[], Any], photos: int, **parts: tuple[Any, str]) -> Lap:
    """Run it once; `parts` are functions by owner and name."""
    seconds: Counter[str] = Counter()
    with ExitStack() as stack:
        for part, (owner, name) in parts.items():
            stack.enter_context(timed(owner, name, part, seconds))
        started = time.perf_counter()
        run()
        whole = time.perf_counter() - started
    return Lap(
        photos / whole,
        {part: seconds[part] / whole for part in parts} | {"rest": 1 - sum(seconds.values()) / whole},
    )


def draw(folder: Path, count: int) -> list[Path]:
    """JPEG files of the size of Flickr's photos: clouds of colour under a little noise."""
    random = np.random.default_rng(0)
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        clouds = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        noisy = np.asarray(clouds) + random.normal(0, 8, (375, 500, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def write_captions(path: Path, photos: Sequence[Path]) -> None:
    """Random captions as long as Flickr8k's; the last photo is for validation."""
    lengths = 3 + torch.tensor(LENGTHS, dtype=torch.float).multinomial(ROWS * len(photos), replacement=True)
    captions = iter([" ".join(f"word{number}" for number in torch.randint(V - 4, (length,)).tolist()) for length in lengths.tolist()])
    lines = [f"{photo.resolve()},{next(captions)},{'val' if photo == photos[-1] else 'train'}" for photo in photos for _ in range(ROWS)]
    path.write_text("\n".join(["image,caption,split", *lines, ""]))


# What the program waits for: photos from their readers, and the CNN, which goes on while the batch before is captioned or written.
WAITING = {"reading": (_BaseDataLoaderIter, "__next__")}


class Bench:
    """A model with random weights, and photos with captions for it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        torch.manual_seed(0)
        self.workers, self.folder = options.workers, folder
        self.paths = find_photos([options.photos])[: options.count] if options.photos else draw(folder, options.count)
        write_captions(folder / "captions.csv", self.paths)
        self.data = CaptionDataModule(DataConfig(folder, "csv", min_count=1, cache_dir=folder / "cache", num_workers=self.workers))
        words = [*self.data.tokens, *(f"unheard{number}" for number in range(V - len(self.data.tokens)))]
        encoder = EncoderConfig(options.encoder, "none", stride=options.stride)
        self.lit = LitCaptioner(words, CaptionerConfig(encoder, optimizer=OptimizerConfig(schedule="constant"), fuse=True))
        self.encoder = self.lit.network.encoder
        model = Pretrained(self.lit.network, self.lit.vocabulary, self.lit.preprocessing, GenerationConfig(3, WORDS))
        self.captioner = Captioner(model, "cpu", fuse=True)
        self.ready = self._decoded(BATCH)

    def _decoded(self, count: int) -> torch.Tensor:
        return torch.stack([self.lit.preprocessing.load(path)[0] for path in self.paths[:count]])

    @torch.inference_mode()
    def alone(self) -> Lap:
        """The CNN and nothing else."""
        batches = max(1, len(self.paths) // BATCH)
        return lap(lambda: [self.captioner.ensemble.extractors[0](self.ready) for _ in range(batches)], batches * len(self.ready))

    def extract(self) -> Lap:
        """Files to annotations on disk."""
        photos = [Photo(number, path, ()) for number, path in enumerate(self.paths)]
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            run = lambda: cache.open_or_build_cache(photos, self.lit.preprocessing, self.encoder, Path(folder), workers=self.workers)  # noqa: E731
            return lap(run, len(photos), **WAITING, cnn=(FeatureExtractor, "_collect"))

    def caption(self) -> Lap:
        """Files to captions."""
        with torch.no_grad():
            self.lit.network.decoder.output.bias[END] = -100.0  # all captions have WORDS words
        self.captioner.ensemble.decoders = [self.lit.network.eval().inference_decoder()]
        run = lambda: list(self.captioner.caption_files(self.paths, workers=self.workers))  # noqa: E731
        return lap(run, len(self.paths), **WAITING, cnn=(FeatureExtractor, "_collect"), search=(ensemble, "generate"))

    def train(self) -> Lap:
        """An epoch from the cache."""
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = Trainer(accelerator="cpu", max_epochs=1, limit_val_batches=0, **quiet)
        run = lambda: trainer.fit(self.lit.train(), self.data)  # noqa: E731
        parts = {"forward": (LitCaptioner, "training_step"), "backward": (torch.autograd, "backward")}
        return lap(run, len(self.data.photos.split("train")), **WAITING, **parts)

    def plainly(self, captions: int = BATCH) -> Lap:
        """A part of an epoch the way of most tutorials, as photos with ROWS captions."""
        speaking = Yardstick(self.encoder.channels, 512, 512, 512, V)
        optimizer = torch.optim.AdamW(speaking.parameters())
        words = next(iter(self.data.train_dataloader())).token_ids.flatten(0, 1)[::ROWS][:captions]

        def run() -> None:
            with torch.no_grad():
                encoder_features = self.encoder.eval()(self._decoded(captions))[0]
            logits, _ = speaking(encoder_features, words[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten(), ignore_index=0).backward()
            optimizer.step()

        return lap(run, captions / ROWS, cnn=(Encoder, "forward"))


def measure(bench: Bench, names: Sequence[str], laps: int) -> dict[str, list[Lap]]:
    """Every lap of the cases, and of what they are held against."""
    runs = {"alone": bench.alone, "extract": bench.extract, "caption": bench.caption, "train": bench.train, "plainly": bench.plainly}
    wanted = {"extract": ("alone", "extract"), "caption": ("alone", "caption"), "train": ("train",), "epoch": ("train", "plainly")}
    needed = [name for name in runs if any(name in wanted[case] for case in names)]
    found: dict[str, list[Lap]] = {name: [] for name in needed}
    with tqdm(total=(1 + laps) * len(needed), unit=" laps", disable=None) as bar:
        for number in range(1 + laps):
            for name in needed:
                one = runs[name]()
                if number:  # the first one compiles
                    found[name].append(one)
                bar.update()
    return found


def report(name: str, found: dict[str, list[Lap]]) -> dict[str, Any]:
    """A case as one object, and its line."""
    ours, theirs = ("train", "plainly") if name == "epoch" else (name, "alone")
    rates = {who: statistics.median(one.rate for one in found[who]) for who in (ours, theirs) if who in found}
    shares = {part: statistics.median(one.shares[part] for one in found[ours]) for part in found[ours][0].shares}
    of_theirs = rates[ours] / rates[theirs] if theirs in rates else None
    against = {"epoch": f"{of_theirs or 0:.1f}x the tutorials'", "train": ""}.get(name, f"{of_theirs or 0:.0%} of the CNN alone")
    parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    print(f"{name:8} {rates[ours]:8.1f} photos/s  {against:22}  {parts}")
    spread = {who: [min(one.rate for one in found[who]), max(one.rate for one in found[who])] for who in rates}
    return {"case": name, "ratio": of_theirs, "photos_per_s": rates, "spread": spread, "shares": shares}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--encoder", default="mobilenet_v2", help="of torchvision (default: %(default)s)")
    parser.add_argument("--stride", type=int, help="pixels per location of its grid (default: its own)")
    parser.add_argument("--photos", metavar="DIR", help="JPEG files (default: drawn ones of 500x375)")
    parser.add_argument("--count", type=int, default=256, help="photos (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read photos ahead (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the network (default: torch's)")
    parser.add_argument("--laps", type=int, default=3, help="counted ones (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a list of objects there")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case '{unknown[0]}': choose from {', '.join(CASES)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    names = options.cases or CASES
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Bench(options, Path(folder)), names, options.laps)
    print(f"{options.encoder}, {torch.get_num_threads()} threads, {options.workers} workers, {options.count} photos; medians")
    results = [report(name, found) for name in names]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
