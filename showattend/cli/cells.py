"""`showattend cells`: a table of the recurrent cells, the equations of one, matched sizes, its memory, and a plot of its gates."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from showattend.cli.from_args import captioner_from_args, generation_config_from_args, inputs_from_args
from showattend.cli.options import Commands, add_generation_options, add_model_options, whole_number
from showattend.console import print_line
from showattend.errors import InputError
from showattend.files import check_writable

HIDDEN_SIZE, MEMORY_SIZE, MAX_SIZE = 512, 32, 2**16
CellDescription = dict[str, Any]  # of a cell, by catalogue.describe_cell


def add_parser(commands: Commands) -> None:
    """The options of `showattend cells`."""
    cells = commands.add_parser(
        "cells",
        help="list the recurrent cells; print one cell's equations; plot its gates over a caption",
        description="Without NAME: a table of all cells. With NAME: its equations. With --plot: the values of its gates at each word.",
    )
    cells.add_argument("cell", nargs="?", metavar="NAME", help="a registered cell, or my_package.cells:MyCell")
    cells.add_argument(
        "--input-size",
        type=whole_number(1, MAX_SIZE),
        default=1024,
        metavar="I",
        help="width of x, embedding and context together (default: %(default)s)",
    )
    cells.add_argument(
        "--hidden-size",
        type=whole_number(1, MAX_SIZE),
        metavar="H",
        help=f"hidden units (default: {HIDDEN_SIZE}, with --memory {MEMORY_SIZE})",
    )
    cells.add_argument("--match", metavar="NAME", help="print the hidden size at which each cell has as many parameters as NAME at H")
    cells.add_argument(
        "--memory",
        action="store_true",
        help="train NAME on tasks that need memory, with growing delays, and print its gradient norms: a minute or two",
    )
    cells.add_argument("--json", action="store_true", help="print a JSON list with one object for each cell")
    cells.add_argument("--plot", type=Path, metavar="FILE", help="plot the gates over the words of a caption; needs --model and --photo")
    cells.add_argument("--photo", type=Path, metavar="PATH", help="the photo to caption for --plot")
    add_model_options(cells, required=False)
    add_generation_options(cells, one_caption=True)
    cells.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do the one of the command's tasks that the options choose."""
    if args.json and (args.plot or args.memory):
        raise InputError("--json prints descriptions of cells or --match: leave it out with --plot and --memory")
    if sum(map(bool, (args.plot, args.match, args.memory))) > 1:
        raise InputError("--plot, --match and --memory are three tasks: give one of them")
    args.hidden_size = args.hidden_size or (MEMORY_SIZE if args.memory else HIDDEN_SIZE)
    if args.plot:
        _plot_gates(args)
    elif args.match:
        _print_matches(args)
    elif args.memory:
        _print_memory(args)
    elif args.json:
        print(json.dumps(_descriptions(args), indent=2))
    elif args.cell:
        _print_cell(*_descriptions(args))
    else:
        _print_table(_descriptions(args))
    return 0


def _descriptions(args: argparse.Namespace) -> list[CellDescription]:
    """Of the named cell, or of all registered ones."""
    from showattend.cells import cell_names
    from showattend.cells.catalogue import describe_cell

    names = [args.cell] if args.cell else cell_names()
    return [describe_cell(name, args.input_size, args.hidden_size) for name in names]


def _print_table(cells: Sequence[CellDescription]) -> None:
    rows = [("cell", "parameters", "state", "equation", "source")]
    rows += [(cell["name"], f"{cell['parameters']:,}", " ".join(cell["state"]), cell["equation"], cell["source"]) for cell in cells]
    _print_rows(rows)
    sizes = f"input size {cells[0]['input_size']} and hidden size {cells[0]['hidden_size']}"
    print(f"\nParameters of the recurrence at {sizes}; depth_gated: two layers.")
    unsupported = [cell["name"] for cell in cells if not cell["supports_fused_loop"]]
    print(f"Fused training loop: all cells except {', '.join(unsupported)}.")
    print("a = W x + U h + b, s = sigmoid, * elementwise. All equations of a cell: showattend cells NAME")


def _print_rows(rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Print five columns; the last two wrap inside the width of the screen."""
    widths = _column_widths(rows)
    for row in rows:
        wrapped = [textwrap.wrap(text, width) for text, width in zip(row[3:], widths[3:], strict=True)]
        for line in range(max(1, *map(len, wrapped))):
            name, parameters, state = row[:3] if line == 0 else ("", "", "")
            equation, source = (column[line] if line < len(column) else "" for column in wrapped)
            columns = (name.ljust(widths[0]), parameters.rjust(widths[1]), state.ljust(widths[2]), equation.ljust(widths[3]), source)
            print("  ".join(columns).rstrip())


def _column_widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """As wide as their entries; where the screen is too narrow, the last two columns share what the others leave."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    available = shutil.get_terminal_size((200, 24)).columns - sum(widths[:3]) - 8
    if sum(widths[3:]) > available:
        widths[3:] = [max(24, available * 3 // 5), max(16, available * 2 // 5)]
    return widths


def _print_cell(cell: CellDescription) -> None:
    from showattend.cells.catalogue import equations

    print(f"{cell['name']}\n\n{textwrap.indent(equations(cell['name']), '  ')}\n")
    uses_activations = any("a_" in line for line in cell["equations"])
    activations = f"a = W x + U h + b for each of {', '.join(cell['gates'])}; " if uses_activations else ""
    print(f"  {activations}s = sigmoid; * elementwise")
    for label, value in _cell_facts(cell):
        print(f"  {label:20}{value}")


def _cell_facts(cell: CellDescription) -> list[tuple[str, str]]:
    layers = cell["layers"]
    sizes = f"input size {cell['input_size']}, hidden size {cell['hidden_size']}" + (f", {layers} layers" if layers > 1 else "")
    layers_option = f" --model.decoder.layers {layers}" if layers > 1 else ""
    return [
        ("state", ", ".join(cell["state"])),
        ("parameters", f"{cell['parameters']:,} ({sizes})"),
        *((f"  {name}", role) for name, role in cell["parameter_roles"].items()),
        ("fused training loop", "yes" if cell["supports_fused_loop"] else "no"),
        ("options", f"{', '.join(cell['options'])} (--model.decoder.cell_options)"),
        ("train it", f"showattend fit --config flickr8k --data.root DIR --model.decoder.cell {cell['name']}{layers_option}"),
    ]


def _print_matches(args: argparse.Namespace) -> None:
    from showattend.cells.catalogue import count_parameters, match_hidden_sizes

    target = count_parameters(args.match, args.input_size, args.hidden_size)
    sizes = match_hidden_sizes(args.match, args.input_size, args.hidden_size)
    rows = [(name, size, count_parameters(name, args.input_size, size)) for name, size in sizes.items()]
    if args.json:
        print(json.dumps([{"name": name, "hidden_size": size, "parameters": count} for name, size, count in rows], indent=2))
        return
    width = max(map(len, sizes))
    print(f"{'cell':{width}}  hidden size  parameters  difference")
    for name, size, count in rows:
        print(f"{name:{width}}  {size:11}  {count:10,}  {100 * (count / target - 1):+9.2f}%")
    print(f"\nNearest to {args.match} with {target:,} parameters (input size {args.input_size}, hidden size {args.hidden_size}).")


def _print_memory(args: argparse.Namespace) -> None:
    """Delay after delay, as each is learned or not; then the norm of dh_T/ds_t over the distance, before and after training."""
    from showattend.cells.catalogue import count_parameters
    from showattend.study.memory_probe import ProbeConfig, probe_gradients, probe_memory
    from showattend.study.memory_tasks import TASKS

    if not args.cell:
        raise InputError("--memory needs a cell: give its NAME (showattend cells lists them)")
    count_parameters(args.cell, args.input_size, args.hidden_size)  # refuses an unknown cell or a size before anything is printed
    config = ProbeConfig(hidden_size=args.hidden_size)
    print(f"{args.cell}, {config.hidden_size} units: steps of training until at most {config.solved:.0%} of the answers are wrong\n")
    print("task     " + "".join(f"{f'delay {delay}':>12}" for delay in config.delays))
    for task in TASKS:
        print(f"{task:9}", end="", flush=True)
        for outcome in probe_memory(args.cell, task, config, seed=0):
            result = f"{outcome.iterations}" if outcome.solved else f"{outcome.error:.0%} wrong"
            print(f"{result:>12}", end="", flush=True)
        print()
    norms = probe_gradients(args.cell, config, seed=0)
    distances = [1, 5, 10, 20, 40, config.distance]
    print("\nnorm of dh_T/ds_t, 1 for a state that is handed on unchanged; `order` at delay", norms.delay)
    print("distance " + "".join(f"{distance:>12}" for distance in distances))
    for label, values in (("untrained", norms.untrained), ("trained", norms.trained)):
        print(f"{label:9}" + "".join(f"{values[distance - 1]:12.1e}" for distance in distances))


def _plot_gates(args: argparse.Namespace) -> None:
    from showattend.cells import find_cell
    from showattend.visualize import check_format, gates_figure, save_figure

    if not (args.model and args.photo):
        raise InputError("--plot needs a trained model and a photo: give --model DIR and --photo PATH too")
    check_format(args.plot)
    check_writable(args.plot, inputs_from_args(args))
    captioner = captioner_from_args(args)
    trained = captioner.model.network.decoder.config.cell
    if args.cell and find_cell(args.cell) is not find_cell(trained):
        raise InputError(f"the model {args.model} was trained with the cell '{trained}', not '{args.cell}': give a model with that cell")
    caption, layers = captioner.gates(args.photo, generation_config_from_args(captioner, args))
    save_figure(gates_figure(caption, layers), args.plot)
    print_line(caption)
    print_line(args.plot)
