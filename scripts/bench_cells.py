"""How fast is each recurrent cell, against its own matrix products and against torch's cells?

    python scripts/bench_cells.py                     every cell, about ten minutes, most of them compiling
    python scripts/bench_cells.py lstm gru --json bench.json

For each cell, in turn within every round so that a noisy machine is noisy for all alike:
  products    torch.matmul of every matrix of the cell with as many rows, and nothing else
  step        x to gates and one step, without gradients, eager and compiled (weights frozen, as in use)
  forward     the same over T steps for training, the projection of all x hoisted out of the loop
  backward    forward and backward
Medians of the rounds, in milliseconds for one step. On a GPU, compiled steps are captured in CUDA graphs, and cuDNN's LSTM is timed too.
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
from torch import Tensor, nn
from tqdm import tqdm

from showattend.cells import RecurrentCell, Stack, cell_names, find_cell, make_cell

B, H, I, T = 80, 512, 1024, 20  # noqa: E741  (the literature's letter)
TWINS = {"lstm": nn.LSTMCell, "gru_reset_after": nn.GRUCell, "elman": nn.RNNCell}
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def products(cell: nn.Module, device: str) -> Callable[[], None]:
    """Every matrix of the cell times B vectors."""
    matrices = [p.detach().t() for p in cell.parameters() if p.dim() == 2]
    vectors = [torch.randn(B, matrix.shape[0], device=device) for matrix in matrices]

    def run() -> None:
        for vector, matrix in zip(vectors, matrices, strict=True):
            torch.matmul(vector, matrix)

    return run


def one_step(step: Step, state: tuple[Tensor, ...], device: str) -> Callable[[], None]:
    """x to the next state, without gradients."""
    x = torch.randn(B, I, device=device)

    @torch.no_grad()
    def run() -> None:
        step(x, state)

    return run


def unrolled(
    project: Callable[[Tensor], Tensor], step: Step, state: tuple[Tensor, ...], device: str, *, backward: bool
) -> Callable[[], None]:
    """T steps as in training, the projection of all x first."""
    xs = torch.randn(T, B, I, device=device, requires_grad=True)

    def run() -> None:
        after, outputs = state, []
        for gates in project(xs).unbind():
            after = step(gates, after)
            outputs.append(after[0])
        if backward:
            torch.stack(outputs).sum().backward()

    return run


def candidates(name: str, device: str) -> dict[str, Callable[[], None]]:
    """What is timed of a cell, by name."""
    cell: RecurrentCell | Stack = make_cell(name, (I,), H, layers=find_cell(name).min_layers).to(device).eval()
    zeros = torch.zeros(B, cell.initial_size, device=device)
    state = cell.initial_state(zeros, zeros)

    def project(x: Tensor) -> Tensor:
        return cell.project(x, 0)

    def whole(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return cell.step(project(x), state)

    captured = {"triton.cudagraphs": device == "cuda"}
    frozen = torch.compile(whole, fullgraph=True, dynamic=False, options=captured)
    compiled = torch.compile(cell.step, fullgraph=True, dynamic=False, options=captured)
    runs = {"products": products(cell, device)}
    for kind, used, step in (("eager", whole, cell.step), ("compiled", frozen, compiled)):
        runs[f"step {kind}"] = one_step(used, state, device)
        runs[f"forward {kind}"] = unrolled(project, step, state, device, backward=False)
        runs[f"backward {kind}"] = unrolled(project, step, state, device, backward=True)
    if name in TWINS:
        twin = TWINS[name](I, H).to(device)

        def step_of_torch(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            after = twin(x, state if len(state) > 1 else state[0])
            return after if isinstance(after, tuple) else (after,)

        runs["step torch"] = one_step(step_of_torch, state, device)
        runs["forward torch"] = unrolled(lambda x: x, step_of_torch, state, device, backward=False)
        runs["backward torch"] = unrolled(lambda x: x, step_of_torch, state, device, backward=True)
    if name == "lstm" and device == "cuda":
        cudnn, xs = nn.LSTM(I, H).to(device), torch.randn(T, B, I, device=device)
        runs["forward cudnn"] = lambda: cudnn(xs)
        runs["backward cudnn"] = lambda: cudnn(xs)[0].sum().backward()
    return runs


def measure(runs: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds of one step of each candidate, taken in turn."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    times: dict[str, list[float]] = {name: [] for name in runs}
    for lap in range(rounds + 2):
        for name, run in runs.items():
            repeats = 1 if name.startswith(("forward", "backward")) else T
            wait()
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            wait()
            if lap >= 2:  # the first laps compile and warm up
                times[name].append((time.perf_counter() - start) / T * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def report(name: str, found: dict[str, float]) -> str:
    """A line of the table."""
    cells = [f"{found[column]:8.3f}" if column in found else " " * 8 for column in COLUMNS]
    ratios = [f"{found['step compiled'] / found['products']:6.2f}"]
    ratios.append(f"{found['step eager'] / found['step torch']:6.2f}" if "step torch" in found else " " * 6)
    ratios.append(f"{found['backward eager'] / found['backward torch']:6.2f}" if "backward torch" in found else " " * 6)
    return f"{name:16}{''.join(cells)}  {''.join(ratios)}"


COLUMNS = ("products", "step eager", "step compiled", "forward eager", "forward compiled", "backward eager", "backward compiled")
COLUMNS += ("step torch", "forward torch", "backward torch")
HEADER = """\
                  matmul    step    step forward forward backward backwd.    torch's own cell        compiled  eager / torch's
                           eager compiled  eager compiled  eager compiled    step forward backward  /matmul  step  backward"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the cells, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="names of cells (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="laps over all candidates of a cell (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch._inductor.config.freezing = True  # of weights, where no gradients are wanted
    print(f"B {B}, H {H}, I {I}, T {T}; {args.device}, {torch.get_num_threads()} threads, torch {torch.__version__}; ms for one step")
    print(HEADER)
    results = {}
    for name in tqdm(args.cells or cell_names(), unit=" cells", disable=None):
        results[name] = measure(candidates(name, args.device), args.rounds, args.device)
        torch.compiler.reset()
        tqdm.write(report(name, results[name]))
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
