"""Shared parts of the benchmarks: options, timing, peak memory, the machine's name, and captions and photos to measure with."""

import argparse
import json
import math
import platform
import resource
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from showattend.ops.linear import PackedLinear, linear
from showattend.ops.onednn import multiplies_bfloat16

# Rows and columns of the matrices that peaks are measured with; a GPU needs four times as many to be busy.
PEAK_SIZE = 1024
# How many of 1,000 captions of Flickr8k have 4, 5, ... 20 tokens, `<end>` included; the few longer ones count as 20.
MIN_LENGTH, LENGTH_COUNTS = 4, (4, 11, 29, 65, 85, 97, 110, 113, 103, 92, 77, 62, 44, 33, 22, 17, 36)


def make_parser(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with the script's docstring and the options of every benchmark."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="measured repetitions (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a list of objects to this file")
    return parser


def add_names(parser: argparse.ArgumentParser, kind: str, known: Sequence[str]) -> None:
    """Positional names of the rows or tables to measure; none: all."""

    def name(given: str) -> str:
        if given not in known:
            raise argparse.ArgumentTypeError(f"unknown {kind} '{given}': choose from {', '.join(known)}")
        return given

    parser.add_argument("names", nargs="*", type=name, metavar=kind.upper(), help=f"{', '.join(known)} (default: all)")


def add_threads_and_seed(parser: argparse.ArgumentParser) -> None:
    """`--threads` and `--seed`."""
    parser.add_argument("--threads", type=int, default=1, help="threads of the processor (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and captions (default: %(default)s)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`."""

    def device(given: str) -> str:
        if given == "cuda" and not torch.cuda.is_available():
            raise argparse.ArgumentTypeError("torch finds no GPU: leave --device out")
        return given

    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda (default: %(default)s)")


def machine_name(device: str = "cpu") -> str:
    """The GPU's name, or the model name of the processor."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def peaks(device: str = "cpu") -> dict[str, float]:
    """Floating-point operations per second of a large product in float32 and, where the device has such products, in bfloat16.

    Each is the fastest of what torch has; of weights that are packed once, too.
    """
    size = PEAK_SIZE if device == "cpu" else 4 * PEAK_SIZE
    one, other = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        if device == "cpu" and name == "bfloat16" and not multiplies_bfloat16():
            continue
        x, weight = one.to(dtype), other.to(dtype)
        ways = [partial(torch.mm, x, weight), partial(linear, x, weight), partial(PackedLinear(weight), x)]
        rates[name] = 2 * size**3 / min(timed(way, device)[1] for way in ways for _ in range(5))
    return rates


def print_head(device: str = "cpu", *more: str) -> None:
    """The lines above a table: machine with its peaks, threads, version of torch, and what else the script adds."""
    threads = torch.get_num_threads()
    of_peaks = [f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in peaks(device).items()]
    print(", ".join([machine_name(device), f"{threads} thread{'s' if threads > 1 else ''}", *of_peaks, f"torch {torch.__version__}"]))
    print(", ".join([*more, "medians"]))


class Table:
    """A table whose rows are printed as they come, the first cell of each to the left and the others to the right.

    Args:
        columns: names and widths
    """

    def __init__(self, *columns: tuple[str, int]) -> None:
        self.widths = [width for _, width in columns]
        self.add(*(name for name, _ in columns))

    def add(self, *cells: str, note: str = "") -> None:
        """Print a row; the note stands behind all columns."""
        first, *others = (*cells, *[""] * (len(self.widths) - len(cells)))
        aligned = [first.ljust(self.widths[0]), *(cell.rjust(width) for cell, width in zip(others, self.widths[1:], strict=True))]
        tqdm.write("  ".join([*aligned, note]).rstrip())


def verdict(measured: float, target: float | None) -> str:
    """Whether a ratio has reached its target, with the target; without one nothing."""
    return "" if target is None else f"{'reached' if measured >= target else 'missed'} {target:g}x"


def write_json(path: Path | None, results: Sequence[dict[str, Any]], device: str = "cpu") -> None:
    """Write the results, each with the machine's name and its peaks; no path: write nothing."""
    if path:
        machine = {"machine": machine_name(device), "gflops": {name: round(rate / 1e9) for name, rate in peaks(device).items()}}
        path.write_text(json.dumps([{**result, **machine} for result in results], indent=1) + "\n")


def timed(run: Callable[[], Any], device: str = "cpu") -> tuple[Any, float]:
    """The result of a call, and its seconds."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    started = time.perf_counter()
    result = run()
    synchronize()
    return result, time.perf_counter() - started


def peak_increase(run: Callable[[], Any], device: str = "cpu") -> tuple[int, float]:
    """Bytes by which a call raises the peak of this process's memory, or of the GPU's, over what it holds now; and its seconds."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        seconds = timed(run, device)[1]
        return torch.cuda.max_memory_allocated() - before, seconds
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak
    seconds = timed(run, device)[1]
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")) - before, seconds


def random_lengths(*shape: int) -> Tensor:
    """Caption lengths with the distribution of Flickr8k, `<end>` included."""
    counts = torch.tensor(LENGTH_COUNTS, dtype=torch.float)
    return MIN_LENGTH + counts.multinomial(math.prod(shape), replacement=True).view(shape)


def draw_photos(folder: Path, count: int) -> list[Path]:
    """Random JPEG files of the size of Flickr's photos: smooth colours under a little noise."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{index:05}.jpg" for index in range(count)]
    for path in paths:
        colours = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        noisy = np.asarray(colours) + rng.normal(0, 8, (375, 500, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths
