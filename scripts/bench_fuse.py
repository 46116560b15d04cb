"""What compiling the attention's loops costs and saves: the sizes in showattend/ops/fusing.py follow from these figures.

    OMP_NUM_THREADS=1 python scripts/bench_fuse.py                  a minute and a half, most of it compiling
    OMP_NUM_THREADS=1 python scripts/bench_fuse.py energies         one loop alone

Each loop over all locations and attention units, eager and compiled, in processor time for one element of the map of five queries for each
of 8 images (L 196, A 512). Then what a process pays for all loops: the first one on a machine, and a later one, for which torch has kept
the code that it made. Loops that came ready-made would save that, and nothing else.
"""

import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, add_names, add_threads_and_seed, make_parser, peak_increase, print_head, write_json

from showattend.ops.additive_attention import EAGER_KERNELS, Kernels, compiled_kernels

N, G, L, A = 8, 5, 196, 512
COMPILING, LOOPS = "compiling", ("energies", "row_energies", "grad_queries", "grad_keys")


def loops(kernels: Kernels) -> dict[str, Callable[[], Any]]:
    """A call of each loop."""
    exp_keys, exp_queries, weight, grad = torch.rand(N, L, A) + 0.5, torch.rand(N, G, A) + 0.5, torch.rand(A), torch.rand(N, G, L)
    images = torch.arange(N).repeat_interleave(G)
    return {
        "energies": lambda: kernels.energies(exp_keys, exp_queries, weight),
        "row_energies": lambda: kernels.row_energies(exp_keys, images, exp_queries.flatten(0, 1), weight),
        "grad_queries": lambda: kernels.grad_queries(exp_keys, exp_queries, grad),
        "grad_keys": lambda: kernels.grad_keys(exp_keys, exp_queries, grad),
    }


def processor_seconds() -> float:
    """Of this process and of those that it has waited for, such as compilers."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def compile_all(cache: str) -> tuple[float, int]:
    """Processor seconds and bytes that compiling takes; for a process of its own."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    torch.set_num_threads(1)
    before = processor_seconds()
    increase, _ = peak_increase(lambda: [call() for call in loops(compiled_kernels()).values()])
    return processor_seconds() - before, increase


def nanoseconds(call: Callable[[], Any], rounds: int) -> float:
    """The median processor time of a loop for one element."""
    call()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return 1e9 * statistics.median(times) / (N * G * L * A)


def measure_compiling(table: Table) -> list[dict[str, Any]]:
    """A row for the first process that compiles, and for a later one."""
    results = []
    with tempfile.TemporaryDirectory() as cache:
        for case in ("first process", "later process"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, increase = pool.apply(compile_all, (cache,))
                pool.close()
                pool.join()  # the compiler frees what it shares between processes
            table.add(case, note=f"compiles for {seconds:.1f} s, with {increase / 2**20:.0f} MiB")
            results.append({"case": case, "seconds": seconds, "bytes": increase})
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each loop, and for compiling."""
    parser = make_parser(__doc__, rounds=9)
    add_names(parser, "row", (COMPILING, *LOOPS))
    add_threads_and_seed(parser)
    options = parser.parse_args(arguments)
    names = options.names or (COMPILING, *LOOPS)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    print_head("cpu", "processor time")
    table, results = Table(("loop", 16), ("eager", 10), ("compiled", 10), ("ratio", 7)), []
    if COMPILING in names:
        results += measure_compiling(table)
    compiled, eager = loops(compiled_kernels()), loops(EAGER_KERNELS)
    for name in (name for name in names if name in LOOPS):
        times = nanoseconds(eager[name], options.rounds), nanoseconds(compiled[name], options.rounds)
        table.add(name, f"{times[0]:.2f} ns", f"{times[1]:.2f} ns", f"{times[0] / times[1]:.1f}x")
        results.append({"case": name, "eager_ns": times[0], "compiled_ns": times[1], "ratio": times[0] / times[1]})
    write_json(options.json, results)


if __name__ == "__main__":
    main()
