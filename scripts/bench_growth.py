"""How does the decoder's cost grow? In all that follows the mathematics is linear: is it so in seconds and in bytes?

    OMP_NUM_THREADS=1 python scripts/bench_growth.py                    all tables, a few minutes
    python scripts/bench_growth.py train-T search-K                     some of them
    python scripts/bench_growth.py --fuse                               with compiled kernels, as in use

  train-T, -L, -B, -V          a training step (forward and backward) of five captions of each photo
  search-T, -L, -B, -V, -K     beam search

T is the words of a caption, L the locations of a photo, B the photos of a batch, V the vocabulary, K the beams. In each table one of them
goes from its usual value to ten times that while the others stay small (T 10, L 49, B 8, V 2,000, K 5), so that much of the cost is what
depends on it. H = A = E = 256, D 512; soft attention, scalar gate, deep output.

The exponent is the slope of log cost over log size: 1 is linear, 2 quadratic, and less than 1 where a part of the cost does not grow. It is
shown from the first size to the last, fitted to all, and at the end, from the last size but one to the last, where such a part hides least.
The sizes of a table take turns, and seconds are medians. Bytes are what a step, or a search, adds to the peak of a process in which weights
and gradients lie ready.
"""

import argparse
import ctypes
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_decoder import raised_by, timed
from torch import Tensor, nn
from tqdm import tqdm

from showattend.cells import find_cell
from showattend.decoding import GenerationConfig
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import END, START

H, D, ROWS = 256, 512, 5
USUAL = {"T": 20, "L": 196, "B": 8, "V": 10_000, "K": 5}
SMALL = {"T": 10, "L": 49, "B": 8, "V": 2_000, "K": 5}
TIMES = (1, 2, 5, 10)
TABLES = [f"train-{size}" for size in "TLBV"] + [f"search-{size}" for size in "TLBVK"]
LINEAR = 1.1  # exponents above it are called more than linear
# Of glibc's malloc: what has as many bytes goes back to the system when it is freed, so that a peak counts what lives and no holes.
M_MMAP_THRESHOLD, HELD = -3, 1 << 14


class Sizes(NamedTuple):
    """Of one problem; the letters are those of the text above."""

    T: int
    L: int
    B: int
    V: int
    K: int


def sizes_of(table: str) -> list[Sizes]:
    """The smallest first."""
    size = table[-1]
    return [Sizes(**SMALL | {size: times * USUAL[size]}) for times in TIMES]


def build(sizes: Sizes, options: argparse.Namespace) -> tuple[Decoder, Tensor]:
    """A decoder with random weights, and annotations (B,L,D)."""
    torch.manual_seed(options.seed)
    cell, layers = options.cell, find_cell(options.cell).min_layers
    config = DecoderConfig(None, H, H, H, cell=cell, layers=layers, dropout=0.0)
    decoder = Decoder(config, vocabulary_size=sizes.V, encoder_dim=D).to(options.device)
    if options.fuse:
        decoder.attention.compile_kernels()
    return decoder, torch.rand(sizes.B, sizes.L, D, device=options.device)


def training(sizes: Sizes, options: argparse.Namespace) -> Callable[[], None]:
    """One step of teacher forcing, every caption of T words."""
    decoder, encoder_features = build(sizes, options)
    captions = torch.randint(4, sizes.V, (sizes.B, ROWS, sizes.T + 1))
    captions[..., 0] = START
    heard, targets, mask = (part.to(options.device) for part in teacher_forcing_split(captions))

    def step() -> None:
        decoder.zero_grad(set_to_none=False)
        spoken = decoder(encoder_features, heard)
        caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, mask)).backward()

    return step


@torch.no_grad()
def searching(sizes: Sizes, options: argparse.Namespace) -> Callable[[], Any]:
    """Beam search over all photos together, every caption of T words."""
    decoder, encoder_features = build(sizes, options)
    decoder.eval().output.bias[END] = -100.0
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder()
    if inference_decoder:
        inference_decoder.input_projection(
            torch.arange(sizes.V, device=options.device)
        )  # the table of words is made, as after the first photos in use
    return lambda: network.caption(Features(encoder_features), GenerationConfig(sizes.K, sizes.T), inference_decoder)


def steps(table: str, options: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """What a table runs, the smallest first."""
    torch.set_num_threads(options.threads)
    make = training if table.startswith("train") else searching
    return (make(sizes, options) for sizes in sizes_of(table))


def laps(table: str, options: argparse.Namespace) -> list[list[float]]:
    """Seconds of each size in each lap."""
    runs = list(steps(table, options))
    # The first lap compiles, and makes the gradients.
    return [[timed(run, options.device)[1] for run in runs] for _ in range(1 + options.rounds)][1:]


def growths(table: str, options: argparse.Namespace) -> list[int]:
    """Bytes that each size adds to the peak; for a process of its own, in which malloc has held nothing back from the start."""
    malloc = ctypes.CDLL(None)
    malloc.mallopt(M_MMAP_THRESHOLD, HELD)
    found = []
    for run in steps(table, options):
        run()
        malloc.malloc_trim(0)
        found.append(raised_by(run, options.device)[0])
    return found


def exponents(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, float]:
    """How fast costs grow with sizes, see the text above."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    slope = lambda one, other: (y[other] - y[one]) / (x[other] - x[one])  # noqa: E731
    return {"exponent": slope(0, -1), "fitted": statistics.linear_regression(x, y).slope, "at_the_end": slope(-2, -1)}


def measure(table: str, options: argparse.Namespace) -> dict[str, Any]:
    """A table as one object."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        times, grown = list(zip(*pool.apply(laps, (table, options)), strict=True)), pool.apply(growths, (table, options))
    problems = sizes_of(table)
    sizes = [getattr(problem, table[-1]) for problem in problems]
    seconds, spread = [statistics.median(rounds) for rounds in times], [[min(rounds), max(rounds)] for rounds in times]
    slopes = {"time": exponents(sizes, seconds), "memory": exponents(sizes, grown)}
    first = {"table": table, "smallest": problems[0]._asdict(), "sizes": sizes}
    return {**first, "seconds": seconds, "spread": spread, "bytes": grown, **slopes}


def text(found: dict[str, Any]) -> str:
    """A table as lines."""
    head = "".join(f"{size:10,}" for size in found["sizes"])
    lines = [f"{found['table']:12}{head}   exponent  fitted  at the end"]
    times, grown = [f"{1e3 * cost:.1f} ms" for cost in found["seconds"]], [f"{cost / 2**20:.1f} MiB" for cost in found["bytes"]]
    for name, cells in (("time", times), ("memory", grown)):
        slopes = found[name]
        verdict = "  more than linear" if max(slopes.values()) > LINEAR else ""
        shown = f"{slopes['exponent']:11.2f} {slopes['fitted']:7.2f} {slopes['at_the_end']:11.2f}{verdict}"
        lines.append(f"  {name:10}{''.join(f'{cell:>10}' for cell in cells)}{shown}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="of the list above (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--cell", default="lstm", help="of `showattend cells` (default: %(default)s)")
    parser.add_argument("--fuse", action="store_true", help="compile the attention's loops")
    parser.add_argument("--rounds", type=int, default=7, help="laps over the sizes of a table (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and captions (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a list of objects there")
    options = parser.parse_args(arguments)
    unknown = [table for table in options.tables if table not in TABLES]
    if unknown:
        parser.error(f"no table '{unknown[0]}': choose from {', '.join(TABLES)}")
    kernels = "compiled" if options.fuse else "eager"
    print(f"{options.device}, {options.threads} threads, torch {torch.__version__}, {options.cell}, {kernels} kernels; medians")
    results = []
    for table in tqdm(options.tables or TABLES, unit=" tables", disable=None):
        results.append(measure(table, options))
        tqdm.write(text(results[-1]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
