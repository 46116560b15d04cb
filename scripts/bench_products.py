"""Which matrix products are faster on oneDNN than on torch's default: the choice of `showattend.ops.linear`.

    OMP_NUM_THREADS=1 python scripts/bench_products.py        half a minute

x (M,K) times a weight (N,K), float32, on one core. `forward` multiplies by the transposed weight, as a linear layer does; `backward` by
the weight itself, as its gradient does. `packed`: the weight's layout was prepared before. The methods take turns.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, add_names, add_threads_and_seed, make_parser, print_head, timed, write_json
from torch import Tensor
from torch.nn import functional as F

from showattend.ops import onednn
from showattend.ops.linear import SMALL_PRODUCT

ROWS_CHANNELS_UNITS = ((24, 128, 64), (24, 192, 512), (24, 512, 192), (80, 512, 512), (80, 512, 2048), (80, 2560, 2048), (320, 2560, 2048))
SIZES = {f"{rows}x{channels}x{units}": (rows, channels, units) for rows, channels, units in ROWS_CHANNELS_UNITS}
CALL_SECONDS = 2e-3  # a measurement repeats a product for about this long


def methods(x: Tensor, weight: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The ways to multiply, by their column."""
    transposed, packed = weight.t().contiguous(), onednn.pack(weight)
    return {
        "forward_onednn": partial(onednn.linear, x, weight),
        "forward_packed": partial(onednn.linear, x, packed),
        "forward_torch": partial(F.linear, x, weight),
        "backward_onednn": partial(onednn.linear, x, transposed.t()),
        "backward_torch": partial(F.linear, x, transposed.t()),
    }


def measure(name: str, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds of one product by every method."""
    torch.manual_seed(seed)
    rows, channels, units = SIZES[name]
    runs = methods(torch.randn(rows, channels), torch.randn(units, channels))
    first = {method: min(timed(run)[1] for _ in range(5)) for method, run in runs.items()}
    repeats = {method: max(1, int(CALL_SECONDS / seconds)) for method, seconds in first.items()}

    def seconds_of(method: str) -> float:
        return timed(lambda: [runs[method]() for _ in range(repeats[method])])[1] / repeats[method]

    times = [{method: seconds_of(method) for method in runs} for _ in range(rounds)]
    medians = {method: statistics.median(of_round[method] for of_round in times) for method in runs}
    return {"case": name, "multiplications": rows * channels * units, "seconds": medians}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each size."""
    parser = make_parser(__doc__, rounds=21)
    add_names(parser, "size", list(SIZES))
    add_threads_and_seed(parser)
    options = parser.parse_args(arguments)
    if not onednn.is_usable(torch.ones(1)):
        parser.error("torch has no products of oneDNN here")
    torch.set_num_threads(options.threads)
    chosen = "never without packing" if onednn.mkl_is_faster() else f"from {SMALL_PRODUCT:,} multiplications on"
    print_head("cpu", "microseconds", f"oneDNN is used {chosen}")
    columns = ("forward_onednn", "forward_packed", "forward_torch", "backward_onednn", "backward_torch")
    table = Table(("size", 12), *((column, 15) for column in columns))
    results = []
    for name in options.names or SIZES:
        results.append(measure(name, options.rounds, options.seed))
        table.add(name, *(f"{1e6 * results[-1]['seconds'][column]:.0f}" for column in columns))
    write_json(options.json, results)


if __name__ == "__main__":
    main()
