"""`showattend cells`: the table of recurrent cells, the equations of one, and what its gates did."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from showattend.cli.from_args import captioner_from_args, generation_config_from_args
from showattend.cli.options import Commands, add_generation_options, add_model_options, whole_number
from showattend.errors import InputError
from showattend.files import check_writable


def add_parser(commands: Commands) -> None:
    """The options of `showattend cells`."""
    cells = commands.add_parser(
        "cells",
        help="list the recurrent cells; one cell's equations; its gates over a caption",
        description="Without a name: a table of all cells. With one: its equations, and with --plot what its gates did at each word.",
    )
    cells.add_argument("cell", nargs="?", metavar="NAME", help="a cell of the table, or my_package.cells:MyCell")
    cells.add_argument("--input-size", type=whole_number(1), default=1024, metavar="I", help="embedding and context (default: %(default)s)")
    cells.add_argument("--hidden-size", type=whole_number(1), default=512, metavar="H", help="units (default: %(default)s)")
    cells.add_argument("--match", metavar="NAME", help="the hidden size that gives each cell as many parameters as this one has at H")
    cells.add_argument("--json", action="store_true", help="print a list of objects for programs")
    cells.add_argument("--plot", type=Path, metavar="FILE", help="draw the gates over the words of a caption; needs --model and --photo")
    cells.add_argument("--photo", type=Path, metavar="PATH", help="the photo to caption for --plot")
    add_model_options(cells, required=False)
    add_generation_options(cells)
    cells.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is asked for of the cells."""
    from showattend.cells import cell_names
    from showattend.cells.catalogue import describe

    if args.plot:
        _plot(args)
    elif args.match:
        _print_matches(args)
    elif args.json:
        names = [args.cell] if args.cell else cell_names()
        print(json.dumps([describe(name, args.input_size, args.hidden_size) for name in names], indent=2))
    elif args.cell:
        _print_cell(args)
    else:
        _print_table(args)
    return 0


def _print_table(args: argparse.Namespace) -> None:
    from showattend.cells import cell_names
    from showattend.cells.catalogue import describe

    found = [describe(name, args.input_size, args.hidden_size) for name in cell_names()]
    rows = [("cell", "parameters", "state", "equation", "source")]
    rows += [(cell["name"], f"{cell['parameters']:,}", " ".join(cell["state"]), cell["equation"], cell["source"]) for cell in found]
    _print_rows(rows)
    print(f"\nParameters of the recurrence at input size {args.input_size} and hidden size {args.hidden_size}; depth_gated: two layers.")
    slow = [cell["name"] for cell in found if not cell["fast"]]
    print(f"All have the fast way of training and captioning but {', '.join(slow)}.")
    print("a = W x + U h + b, s = sigmoid, * elementwise. All equations of a cell: showattend cells NAME")


def _print_rows(rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Five columns; the last two share what is left of the screen's width, and wrap."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = shutil.get_terminal_size((200, 24)).columns - sum(widths[:3]) - 8
    if sum(widths[3:]) > left:
        widths[3:] = [max(24, left * 3 // 5), max(16, left * 2 // 5)]
    for name, parameters, state, equation, source in rows:
        wrapped = [textwrap.wrap(text, width) for text, width in zip((equation, source), widths[3:], strict=True)]
        start = (name.ljust(widths[0]), parameters.rjust(widths[1]), state.ljust(widths[2]))
        for line in range(max(1, *map(len, wrapped))):
            first = start if line == 0 else tuple(" " * width for width in widths[:3])
            rest = [column[line] if line < len(column) else "" for column in wrapped]
            print("  ".join((*first, rest[0].ljust(widths[3]), rest[1])).rstrip())


def _print_cell(args: argparse.Namespace) -> None:
    from showattend.cells.catalogue import describe, equations

    cell = describe(args.cell, args.input_size, args.hidden_size)
    layers = f", {cell['layers']} layers" if cell["layers"] > 1 else ""
    print(f"{args.cell}\n\n{textwrap.indent(equations(args.cell), '  ')}\n")
    print(f"  a = W x + U h + b for each of {', '.join(cell['gates'])}; s = sigmoid; * elementwise")
    print(f"  state       {', '.join(cell['state'])}")
    print(f"  parameters  {cell['parameters']:,} (input size {args.input_size}, hidden size {args.hidden_size}{layers})")
    print(f"  fast way    {'yes' if cell['fast'] else 'no: its words go one by one through autograd'}")
    print(f"  options     {', '.join(cell['options'])} (--model.cell_options)")
    print(f"  train it    showattend fit --config configs/flickr8k.yaml --model.cell {args.cell}{_layers_option(cell['layers'])}")


def _layers_option(layers: int) -> str:
    return f" --model.layers {layers}" if layers > 1 else ""


def _print_matches(args: argparse.Namespace) -> None:
    from showattend.cells.catalogue import count_parameters, match_sizes

    sizes = match_sizes(args.match, args.input_size, args.hidden_size)
    wanted = count_parameters(args.match, args.input_size, args.hidden_size)
    found = [(name, size, count_parameters(name, args.input_size, size)) for name, size in sizes.items()]
    if args.json:
        print(json.dumps([{"name": name, "hidden_size": size, "parameters": count} for name, size, count in found], indent=2))
        return
    width = max(map(len, sizes))
    print(f"{'cell':{width}}  hidden size  parameters  difference")
    for name, size, count in found:
        print(f"{name:{width}}  {size:11}  {count:10,}  {100 * (count / wanted - 1):+9.2f}%")
    print(f"\nNearest to {args.match} with {wanted:,} parameters (input size {args.input_size}, hidden size {args.hidden_size}).")


def _plot(args: argparse.Namespace) -> None:
    from showattend.cells import find_cell
    from showattend.visualize import check_format, gates_figure

    if not (args.model and args.photo):
        raise InputError("--plot draws what the gates of a trained model did: give --model DIR and --photo PATH too")
    check_format(args.plot)
    check_writable(args.plot)
    captioner = captioner_from_args(args)
    trained = captioner.model.network.decoder.config.cell
    if args.cell and find_cell(args.cell) is not find_cell(trained):
        raise InputError(f"the model {args.model} was trained with the cell '{trained}', not '{args.cell}': give one of that cell")
    caption, layers = captioner.gates(args.photo, generation_config_from_args(captioner, args))
    gates_figure(caption, layers, args.plot)
    print(f"{caption}\n{args.plot}")
