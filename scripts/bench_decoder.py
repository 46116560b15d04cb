"""Speed and memory of the decoder against one as most tutorials write it (scripts/plain_decoder.py) and against matrix products alone.

    OMP_NUM_THREADS=1 python scripts/bench_decoder.py                       all cases, a minute and a half
    python scripts/bench_decoder.py --device cuda                           in CUDA graphs and TF32, 256 images searched together
    python scripts/bench_decoder.py --precision bf16                        ours with products of bfloat16, the baseline as it is
    python scripts/bench_decoder.py train-d2048-grouped --profile           the operators that take the time of one case
    python scripts/bench_decoder.py --baseline my_package.models:Theirs     against a decoder of yours

Both take turns in one process on the same weights and captions, and the same run checks that losses, gradients and captions are
equal. H = A = E = 512, V = 10,000, L = 196; soft attention, scalar gate, deep output; captions as long as Flickr8k's, up to T = 20.

  train-d2048-same      a training step (forward and backward), D 2048, 40 captions of 40 images (80 of 80 on a GPU)
  train-d2048-grouped   the same for the five captions of each of 8 images (16)
  train-d512-grouped    the same with D 512
  beam-d2048, -d512     beam 5, 20 tokens, 64 images together (256); the baseline searches two images one by one, scaled to all
  beam-d2048-int8       ours with matrices of 8 bits; captions may differ, as with --precision bf16
  memory-t20            bytes that one training step adds to the peak, D 2048, five captions of 20 tokens for each of 4 images
"""

import argparse
import multiprocessing
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import (
    Table,
    add_device,
    add_names,
    add_threads_and_seed,
    make_parser,
    peak_increase,
    peaks,
    print_head,
    timed,
    verdict,
    write_json,
)
from bench_decoder_cases import CASES, PRECISIONS, TARGETS, Case, find_case, make_comparison, training_comparison
from tqdm import tqdm


def peak_of_step(ours: bool, case: Case, options: argparse.Namespace) -> tuple[int, float]:
    """Bytes that one step of ours or of the baseline adds to the peak when gradients exist already, and its seconds."""
    torch.set_num_threads(options.threads)
    comparison = training_comparison(case, options, full_length=True)
    small = training_comparison(Case("train", case.channels, 2, 2), options, full_length=True)
    (small.ours if ours else small.baseline)()  # compiles
    for parameter in comparison.models[not ours].parameters():
        parameter.grad = torch.ones_like(parameter)
    return peak_increase(comparison.ours if ours else comparison.baseline, options.device)


def measure_memory(case: Case, options: argparse.Namespace, product_rate: float) -> dict[str, Any]:
    """Both steps in a fresh process each."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        (ours, seconds), (baseline, baseline_seconds) = (pool.apply(peak_of_step, (who, case, options)) for who in (True, False))
    flops = training_comparison(case, options, full_length=True).flops
    sizes = {"ratio": baseline / ours, "ours_bytes": ours, "baseline_bytes": baseline, "ours_s": seconds, "baseline_s": baseline_seconds}
    note = f"{ours / 2**20:.0f} MiB for {baseline / 2**20:.0f} MiB"
    return {**sizes, "peak_fraction": flops / seconds / product_rate, "note": note}


def measure_time(case: Case, options: argparse.Namespace, product_rate: float) -> dict[str, Any]:
    """Medians of both in turn."""
    comparison = make_comparison(case, options)
    for _ in range(2):
        result = comparison.ours()  # compiles, captures, and computes the table of input projections
    if options.device == "cuda" or case.kind == "beam" or case.channels == 512:
        comparison.baseline()  # only the first run pays for the pages of its memory, unless these are too large to stay in the process
    note, ours, baseline = "", [], []
    for _ in range(options.rounds):
        ours.append(timed(comparison.ours, options.device)[1])
        baseline_result, seconds = timed(comparison.baseline, options.device)
        baseline.append(comparison.scale * seconds)
        note = note or comparison.check(result, baseline_result)
        ours.append(timed(comparison.ours, options.device)[1])
    ours_s, baseline_s = statistics.median(ours), statistics.median(baseline)
    spread = {"ours_spread": [min(ours), max(ours)], "baseline_spread": [min(baseline), max(baseline)]}
    times = {"ratio": baseline_s / ours_s, "ours_s": ours_s, "baseline_s": baseline_s, **spread}
    return {**times, "peak_fraction": comparison.flops / ours_s / product_rate, "note": note}


def print_profile(name: str, options: argparse.Namespace) -> None:
    """The operators that take the most time in one run of ours."""
    comparison = make_comparison(find_case(name, options.device), options)
    for _ in range(3):
        comparison.ours()
    with torch.profiler.profile() as profile:
        comparison.ours()
    own = f"self_{'device' if options.device == 'cuda' else 'cpu'}_time_total"
    operators = sorted(((getattr(event, own), event.count, event.key) for event in profile.key_averages()), reverse=True)
    total = sum(microseconds for microseconds, _, _ in operators)
    print(f"\n{name}: {total / 1e3:.0f} ms")
    for microseconds, count, operator in operators[:15]:
        print(f"  {microseconds / total:6.1%}  {microseconds / 1e3:8.1f} ms  {count:5} x  {operator[:60]}")


def print_table(names: Sequence[str], options: argparse.Namespace) -> None:
    """A row for each case, and the JSON file."""
    rates = peaks(options.device)
    product_rate = rates.get("bfloat16" if options.precision == "bf16" else "float32", rates["float32"])
    targets = TARGETS[options.precision] if options.device == "cpu" and options.cell == "lstm" else {}
    print_head(options.device, f"ours in precision {options.precision}")
    table, results = Table(("case", 21), ("baseline", 10), ("ours", 10), ("ratio", 7), ("of peak", 7), ("target", 12)), []
    for name in tqdm(names, unit=" cases", disable=None):
        case = find_case(name, options.device)
        measure = measure_memory if case.kind == "memory" else measure_time
        result = {"case": name, "precision": options.precision, **measure(case, options, product_rate)}
        result["verdict"] = verdict(result["ratio"], targets.get(name))
        results.append(result)
        times = f"{result['baseline_s']:.2f} s", f"{result['ours_s'] * 1e3:.1f} ms", f"{result['ratio']:.1f}x"
        table.add(name, *times, f"{result['peak_fraction']:.0%}", result["verdict"], note=result["note"])
    write_json(options.json, results, options.device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table, or profiles."""
    parser = make_parser(__doc__, rounds=1)
    add_names(parser, "case", list(CASES))
    add_device(parser)
    add_threads_and_seed(parser)
    parser.add_argument("--precision", default="32", choices=PRECISIONS, help="of the products of ours (default: %(default)s)")
    parser.add_argument("--cell", default="lstm", help="of ours; results are compared for lstm only (default: %(default)s)")
    parser.add_argument("--baseline", default="plain_decoder:PlainDecoder", metavar="PATH", help="another decoder, see plain_decoder.py")
    parser.add_argument("--profile", action="store_true", help="show which operators of ours take the time, and compare nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    on_cpu = options.device == "cpu"
    names = options.names or [name for name, case in CASES.items() if not case.int8 or (on_cpu and options.precision == "32")]
    if not on_cpu:
        torch.set_float32_matmul_precision("high")
    if options.profile:
        for name in names:
            print_profile(name, options)
    else:
        print_table(names, options)


if __name__ == "__main__":
    main()
