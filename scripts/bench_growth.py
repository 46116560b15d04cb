"""How the decoder's time and memory grow with the sizes of a problem. The mathematics is linear in each of them.

    OMP_NUM_THREADS=1 python scripts/bench_growth.py                    all tables, a few minutes
    python scripts/bench_growth.py train-T search-K                     some of them
    python scripts/bench_growth.py --fuse always                        with compiled kernels, as in use

  train-T, -L, -B, -V          a training step (forward and backward) of five captions of each image
  search-T, -L, -B, -V, -K     beam search

T is the tokens of a caption, L the locations of an image, B the images of a batch, V the vocabulary size, K the beams. Each table
takes one of them from its usual value to ten times that, while the others stay small (T 10, L 49, B 8, V 2,000, K 5), so that
much of the cost depends on it. H = A = E = 256, D 512; soft attention, scalar gate, deep output.

The exponent is the slope of log cost over log size: 1 is linear, 2 quadratic, and less than 1 where a part of the cost does not
grow. The table shows it from the first size to the last, fitted to all, and from the last size but one to the last, where a
constant part hides least. The sizes of a table take turns, and seconds are medians. Bytes are what a step or a search adds to the
peak of a process that holds weights and gradients already.
"""

import argparse
import ctypes
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import add_device, add_names, add_threads_and_seed, make_parser, peak_increase, print_head, timed, write_json
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

H, D, CAPTIONS = 256, 512, 5
USUAL = {"T": 20, "L": 196, "B": 8, "V": 10_000, "K": 5}
SMALL = {"T": 10, "L": 49, "B": 8, "V": 2_000, "K": 5}
TIMES = (1, 2, 5, 10)
TABLES = [f"train-{size}" for size in "TLBV"] + [f"search-{size}" for size in "TLBVK"]
LINEAR = 1.1  # exponents above it are reported as more than linear
# glibc's malloc gives blocks of this many bytes or more back to the system when they are freed: a peak counts live memory only.
M_MMAP_THRESHOLD, LARGE_BLOCK = -3, 1 << 14


class Sizes(NamedTuple):
    """Of one problem, see above."""

    T: int
    L: int
    B: int
    V: int
    K: int


def sizes_of(table: str) -> list[Sizes]:
    """The problems of a table, the smallest first."""
    letter = table[-1]
    return [Sizes(**SMALL | {letter: times * USUAL[letter]}) for times in TIMES]


def make_decoder(sizes: Sizes, options: argparse.Namespace) -> tuple[Decoder, Tensor]:
    """A decoder with random weights, and encoder features (B,L,D)."""
    torch.manual_seed(options.seed)
    config = DecoderConfig(None, H, H, H, cell=options.cell, layers=find_cell(options.cell).min_layers, dropout=0.0)
    decoder = Decoder(config, vocabulary_size=sizes.V, encoder_dim=D).to(options.device)
    if options.fuse == "always":
        decoder.attention.compile_kernels()
    return decoder, torch.rand(sizes.B, sizes.L, D, device=options.device)


def training_step(sizes: Sizes, options: argparse.Namespace) -> Callable[[], None]:
    """One step of teacher forcing, every caption of T tokens."""
    decoder, features = make_decoder(sizes, options)
    captions = torch.randint(4, sizes.V, (sizes.B, CAPTIONS, sizes.T + 1))
    captions[..., 0] = START
    inputs, targets, mask = (part.to(options.device) for part in teacher_forcing_split(captions))

    def step() -> None:
        decoder.zero_grad(set_to_none=False)
        output = decoder(features, inputs)
        caption_loss(output.hidden, output.output, flatten_tokens(targets, mask)).backward()

    return step


@torch.no_grad()
def beam_search(sizes: Sizes, options: argparse.Namespace) -> Callable[[], Any]:
    """Beam search for all images together, every caption of T tokens."""
    decoder, features = make_decoder(sizes, options)
    decoder.eval().output.bias[END] = -100.0
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder()
    if inference_decoder:
        # Computes the table of input projections, which exists after the first images in use.
        inference_decoder.input_projection(torch.arange(sizes.V, device=options.device))
    return lambda: network.caption(Features(features), GenerationConfig(sizes.K, sizes.T), inference_decoder)


def problems_of(table: str, options: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """What a table runs, the smallest first."""
    torch.set_num_threads(options.threads)
    make = training_step if table.startswith("train") else beam_search
    return (make(sizes, options) for sizes in sizes_of(table))


def measure_seconds(table: str, options: argparse.Namespace) -> list[list[float]]:
    """Seconds of each size in each round."""
    runs = list(problems_of(table, options))
    # The first round compiles, and makes the gradients.
    return [[timed(run, options.device)[1] for run in runs] for _ in range(1 + options.rounds)][1:]


def measure_bytes(table: str, options: argparse.Namespace) -> list[int]:
    """Bytes that each size adds to the peak; for a fresh process, whose malloc has kept no freed memory yet."""
    malloc = ctypes.CDLL(None)
    malloc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
    increases = []
    for run in problems_of(table, options):
        run()
        malloc.malloc_trim(0)
        increases.append(peak_increase(run, options.device)[0])
    return increases


def exponents(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, float]:
    """How fast costs grow with sizes, see above."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    slope = lambda one, other: (y[other] - y[one]) / (x[other] - x[one])  # noqa: E731
    return {"exponent": slope(0, -1), "fitted": statistics.linear_regression(x, y).slope, "at_the_end": slope(-2, -1)}


def measure(table: str, options: argparse.Namespace) -> dict[str, Any]:
    """A table as one object."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        times = list(zip(*pool.apply(measure_seconds, (table, options)), strict=True))
        increases = pool.apply(measure_bytes, (table, options))
    problems = sizes_of(table)
    sizes = [getattr(problem, table[-1]) for problem in problems]
    seconds, spread = [statistics.median(rounds) for rounds in times], [[min(rounds), max(rounds)] for rounds in times]
    slopes = {"time": exponents(sizes, seconds), "memory": exponents(sizes, increases)}
    description = {"table": table, "smallest": problems[0]._asdict(), "sizes": sizes}
    return {**description, "seconds": seconds, "spread": spread, "bytes": increases, **slopes}


def format_table(result: dict[str, Any]) -> str:
    """A table as lines."""
    head = "".join(f"{size:10,}" for size in result["sizes"])
    lines = [f"{result['table']:12}{head}   exponent  fitted  at the end"]
    times, increases = [f"{1e3 * cost:.1f} ms" for cost in result["seconds"]], [f"{cost / 2**20:.1f} MiB" for cost in result["bytes"]]
    for name, cells in (("time", times), ("memory", increases)):
        slopes = result[name]
        verdict = "  more than linear" if max(slopes.values()) > LINEAR else ""
        columns = f"{slopes['exponent']:11.2f} {slopes['fitted']:7.2f} {slopes['at_the_end']:11.2f}{verdict}"
        lines.append(f"  {name:10}{''.join(f'{cell:>10}' for cell in cells)}{columns}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = make_parser(__doc__, rounds=7)
    add_names(parser, "table", TABLES)
    add_device(parser)
    add_threads_and_seed(parser)
    parser.add_argument("--cell", default="lstm", help="of `showattend cells` (default: %(default)s)")
    parser.add_argument("--fuse", choices=("never", "always"), default="never", help="compile the attention's loops (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print_head(options.device, options.cell, f"{'compiled' if options.fuse == 'always' else 'eager'} loops")
    results = []
    for table in tqdm(options.names or TABLES, unit=" tables", disable=None):
        results.append(measure(table, options))
        tqdm.write(format_table(results[-1]))
    write_json(options.json, results, options.device)


if __name__ == "__main__":
    main()
