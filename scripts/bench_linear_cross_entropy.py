"""Time and memory of the output layer's loss, forward and backward: ours against two ways of torch.

    OMP_NUM_THREADS=1 python scripts/bench_linear_cross_entropy.py        half a minute

  ours         showattend.ops.linear_cross_entropy: chunks of the vocabulary
  full         torch.nn.functional.cross_entropy of all logits
  chunked      torch.nn.functional.linear_cross_entropy with its default chunks of rows (torch 2.14 and later)
  chunked-256  the same with chunks of 256 rows, the fastest of 16, 32, 64, 128, 256 and 512

float32, E 512, V 10,000, M rows. The methods take turns. Seconds are processor time, so that other programs on the machine
disturb little. Bytes are what a call adds to the peak of its process. Both include the gradients that the call returns.
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, add_names, add_threads_and_seed, make_parser, peak_increase, print_head, write_json
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import PAD

E, V = 512, 10_000
ROWS = {"M480": 480, "M2000": 2000}
Loss = Callable[[Tensor, nn.Linear, Tensor], Tensor]


def chunked_loss(hidden: Tensor, output: nn.Linear, targets: Tensor, **chunks: Any) -> Tensor:
    """torch's loss in chunks of rows."""
    options = torch.nn.LinearCrossEntropyOptions(**chunks)
    return F.linear_cross_entropy(hidden, output.weight, targets, linear_bias=output.bias, ignore_index=PAD, options=options)


def full_loss(hidden: Tensor, output: nn.Linear, targets: Tensor) -> Tensor:
    """torch's loss of all logits."""
    return F.cross_entropy(output(hidden), targets, ignore_index=PAD)


METHODS: dict[str, Loss] = {"ours": caption_loss, "full": full_loss}
if hasattr(F, "linear_cross_entropy"):
    METHODS["chunked"] = chunked_loss
    METHODS["chunked-256"] = partial(chunked_loss, batch_chunk_size=256, chunking_method=None)


def make_step(method: str, rows: int, seed: int) -> Callable[[], tuple[Tensor, ...]]:
    """Loss and gradients of one batch."""
    torch.manual_seed(seed)
    hidden, output, targets = torch.randn(rows, E).requires_grad_(), nn.Linear(E, V), torch.randint(4, V, (rows,))

    def step() -> tuple[Tensor, ...]:
        loss = METHODS[method](hidden, output, targets)
        return loss.detach(), *torch.autograd.grad(loss, (hidden, output.weight, output.bias))

    return step


def processor_seconds(run: Callable[[], Any]) -> float:
    """Processor time of a call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def peak_of_step(method: str, rows: int, threads: int, seed: int) -> int:
    """Bytes that a step adds to the peak; for a process of its own."""
    torch.set_num_threads(threads)
    make_step(method, 2, seed)()  # initialises the libraries
    return peak_increase(make_step(method, rows, seed))[0]


def measure(name: str, rounds: int, threads: int, seed: int) -> list[dict[str, Any]]:
    """All methods with the same rows."""
    steps = {method: make_step(method, ROWS[name], seed) for method in METHODS}
    expected = steps["full"]()
    for method, step in steps.items():
        for one, other in zip(step(), expected, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5), f"{method} differs from the loss of all logits"
    times = [{method: processor_seconds(step) for method, step in steps.items()} for _ in range(rounds)]
    results = []
    for method in steps:
        seconds = [times_of_round[method] for times_of_round in times]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(peak_of_step, (method, ROWS[name], threads, seed))
        median, spread = statistics.median(seconds), [min(seconds), max(seconds)]
        results.append({"case": name, "method": method, "seconds": median, "spread": spread, "bytes": peak})
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each case and method."""
    parser = make_parser(__doc__, rounds=7)
    add_names(parser, "case", list(ROWS))
    add_threads_and_seed(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print_head()
    table = Table(("case", 8), ("method", 12), ("processor time", 15), ("peak memory", 13))
    results = [result for name in options.names or ROWS for result in measure(name, options.rounds, options.threads, options.seed)]
    for result in results:
        table.add(result["case"], result["method"], f"{1e3 * result['seconds']:.1f} ms", f"{result['bytes'] / 2**20:.1f} MiB")
    write_json(options.json, results)


if __name__ == "__main__":
    main()
