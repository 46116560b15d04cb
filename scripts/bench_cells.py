"""Times each recurrent cell against its own matrix products and against torch's cells.

    python scripts/bench_cells.py                     every cell, about ten minutes, most of them compiling
    python scripts/bench_cells.py lstm gru --json bench.json

For each cell, four kinds of runs, one after another in every round, so that noise of the machine reaches all alike:
  products    torch.matmul of every matrix of the cell with B rows, and nothing else
  step        projection of x and one step, without gradients, eager and compiled (weights frozen, as in inference)
  forward     T steps with gradients; all x are projected at once, before the loop
  backward    forward and backward
The table shows medians of the rounds in milliseconds for one step. On a GPU, compiled steps run as CUDA graphs, and cuDNN's
LSTM is timed too.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import print_head
from torch import Tensor, nn
from tqdm import tqdm

from showattend.cells import RecurrentCell, Stack, cell_names, find_cell, make_cell

B, H, I, T = 80, 512, 1024, 20  # noqa: E741  (I: width of x)
TORCH_CELLS = {"lstm": nn.LSTMCell, "gru_reset_after": nn.GRUCell, "elman": nn.RNNCell}
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def products(cell: nn.Module, device: str) -> Callable[[], None]:
    """Multiply every matrix of the cell by B vectors."""
    matrices = [p.detach().t() for p in cell.parameters() if p.dim() == 2]
    vectors = [torch.randn(B, matrix.shape[0], device=device) for matrix in matrices]

    def run() -> None:
        for vector, matrix in zip(vectors, matrices, strict=True):
            torch.matmul(vector, matrix)

    return run


def one_step(step: Step, state: tuple[Tensor, ...], device: str) -> Callable[[], None]:
    """Compute the next state from x, without gradients."""
    x = torch.randn(B, I, device=device)

    @torch.no_grad()
    def run() -> None:
        step(x, state)

    return run


def unrolled(
    project: Callable[[Tensor], Tensor], step: Step, state: tuple[Tensor, ...], device: str, *, backward: bool
) -> Callable[[], None]:
    """Run T steps as in training, after one projection of all x."""
    xs = torch.randn(T, B, I, device=device, requires_grad=True)

    def run() -> None:
        current, outputs = state, []
        for projected in project(xs).unbind():
            current = step(projected, current)
            outputs.append(current[0])
        if backward:
            torch.stack(outputs).sum().backward()

    return run


def runs_of_cell(name: str, device: str) -> dict[str, Callable[[], None]]:
    """The runs that are timed, by their names."""
    cell: RecurrentCell | Stack = make_cell(name, (I,), H, layers=find_cell(name).min_layers).to(device).eval()
    zeros = torch.zeros(B, cell.initial_size, device=device)
    state = cell.initial_state(zeros, zeros)

    def project(x: Tensor) -> Tensor:
        return cell.project(x, 0)

    def project_and_step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return cell.step(project(x), state)

    options = {"triton.cudagraphs": device == "cuda"}
    compiled_project_and_step = torch.compile(project_and_step, fullgraph=True, dynamic=False, options=options)
    compiled_step = torch.compile(cell.step, fullgraph=True, dynamic=False, options=options)
    runs = {"products": products(cell, device)}
    modes = (("eager", project_and_step, cell.step), ("compiled", compiled_project_and_step, compiled_step))
    for mode, step_from_x, step in modes:
        runs[f"step {mode}"] = one_step(step_from_x, state, device)
        runs[f"forward {mode}"] = unrolled(project, step, state, device, backward=False)
        runs[f"backward {mode}"] = unrolled(project, step, state, device, backward=True)
    if name in TORCH_CELLS:
        torch_cell = TORCH_CELLS[name](I, H).to(device)

        def torch_step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            new_state = torch_cell(x, state if len(state) > 1 else state[0])
            return new_state if isinstance(new_state, tuple) else (new_state,)

        runs["step torch"] = one_step(torch_step, state, device)
        runs["forward torch"] = unrolled(lambda x: x, torch_step, state, device, backward=False)
        runs["backward torch"] = unrolled(lambda x: x, torch_step, state, device, backward=True)
    if name == "lstm" and device == "cuda":
        cudnn, xs = nn.LSTM(I, H).to(device), torch.randn(T, B, I, device=device)
        runs["forward cudnn"] = lambda: cudnn(xs)
        runs["backward cudnn"] = lambda: cudnn(xs)[0].sum().backward()
    return runs


def measure(runs: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds of one step for each run; every round times all runs once."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 2):
        for name, run in runs.items():
            repeats = 1 if name.startswith(("forward", "backward")) else T
            synchronize()
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            synchronize()
            if round_number >= 2:  # the first two rounds compile and warm up
                times[name].append((time.perf_counter() - start) / T * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def table_row(name: str, medians: dict[str, float]) -> str:
    """One line of the table."""
    cells = [f"{medians[column]:8.3f}" if column in medians else " " * 8 for column in COLUMNS]
    ratios = [f"{medians['step compiled'] / medians['products']:6.2f}"]
    ratios.append(f"{medians['step eager'] / medians['step torch']:6.2f}" if "step torch" in medians else " " * 6)
    ratios.append(f"{medians['backward eager'] / medians['backward torch']:6.2f}" if "backward torch" in medians else " " * 6)
    return f"{name:16}{''.join(cells)}  {''.join(ratios)}"


COLUMNS = ("products", "step eager", "step compiled", "forward eager", "forward compiled", "backward eager", "backward compiled")
COLUMNS += ("step torch", "forward torch", "backward torch")
HEADER = """\
                  matmul    step    step forward forward backward backwd.    torch's own cell        compiled  eager / torch's
                           eager compiled  eager compiled  eager compiled    step forward backward  /matmul  step  backward"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the cells, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="names of cells (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="how many times each run is timed (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians to this file")
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch._inductor.config.freezing = True  # weights become constants where no gradients are needed
    print_head(args.device, f"B {B}, H {H}, I {I}, T {T}", "ms for one step")
    print(HEADER)
    results = {}
    for name in tqdm(args.cells or cell_names(), unit=" cells", disable=None):
        results[name] = measure(runs_of_cell(name, args.device), args.rounds, args.device)
        torch.compiler.reset()
        tqdm.write(table_row(name, results[name]))
    if args.json:
        machine = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "processor": platform.processor(),
            "device": args.device,
        }
        args.json.write_text(json.dumps({"sizes": {"B": B, "H": H, "I": I, "T": T}, "machine": machine, "cells": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
