"""The precision of a captioner's products, by its name; `auto` asks whether this processor multiplies bfloat16 faster than float32.

A small product of fixed size is timed once per machine and torch, and the result is remembered in the cache folder.
"""

import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from showattend.errors import InputError, unknown_name
from showattend.files import default_cache_dir, write_text
from showattend.ops.linear import PackedLinear
from showattend.ops.onednn import multiplies_bfloat16

# Of the operands of products; None: that of the weights.
DTYPES = {"32": None, "bf16": torch.bfloat16, "int8": torch.int8}
# Rows and columns of the product that is timed, how often, and how much faster bfloat16 must be.
SIZE, REPEATS, MIN_GAIN = 512, 7, 1.5
MAX_REMEMBERED = 50  # machines in the file; containers come with a new name each time


class Precision(NamedTuple):
    """A precision of DTYPES, and a line that says why `auto` took it, empty for one that was given."""

    name: str
    note: str = ""

    @property
    def dtype(self) -> torch.dtype | None:
        """Of the operands of products; None: that of the weights."""
        return DTYPES[self.name]


def choose_precision(name: str, device: torch.device, option: str = "--precision") -> Precision:
    """A precision by its name: 32, bf16, int8, or auto.

    Args:
        option: what the line advises to give

    Raises:
        InputError: there is no such precision.
    """
    if name in DTYPES:
        return Precision(name)
    if name != "auto":
        raise unknown_name("precision", name, ["auto", *DTYPES])
    if device.type != "cpu":
        return Precision("32", f"precision 32: on {device.type} bfloat16 has to be asked for ({option} bf16)")
    if not multiplies_bfloat16():
        return Precision("32", "precision 32: this processor has no products of bfloat16")
    gain = bfloat16_gain()
    took = "bf16" if gain >= MIN_GAIN else "32"
    other = f"{option} 32 for float32" if took == "bf16" else f"{option} bf16 takes them all the same"
    return Precision(took, f"precision {took}: products of bfloat16 are {gain:.1f} times as fast as those of float32 here ({other})")


def bfloat16_gain() -> float:
    """How many times as fast as float32 this processor multiplies bfloat16: remembered, or measured now."""
    file, machine = default_cache_dir() / "precision.json", machine_name()
    gains = _read(file)
    if machine not in gains:
        gains = dict([*gains.items(), (machine, round(_measure(), 2))][-MAX_REMEMBERED:])
        with suppress(InputError):  # a cache folder that cannot be written only costs the time of another measurement
            write_text(file, json.dumps(gains, indent=1) + "\n")
    return gains[machine]


def machine_name() -> str:
    """The computer, its processor and the version of torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processors = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.node()}, {processors[0] if processors else platform.machine()}, torch {torch.__version__}"


def _read(file: Path) -> dict[str, float]:
    """What was remembered; of a file that is missing or holds anything else, nothing."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {machine: gain for machine, gain in entries if isinstance(gain, float) and math.isfinite(gain)}


@torch.inference_mode()
def _measure() -> float:
    x, weight = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    return _best_seconds(PackedLinear(weight), x) / _best_seconds(PackedLinear(weight, dtype=torch.bfloat16), x)


def _best_seconds(multiply: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        multiply(x)
        times.append(time.perf_counter() - started)
    return min(times)
