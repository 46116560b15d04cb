"""`showattend shapes`: write the embedded data set of coloured shapes."""

import argparse
from pathlib import Path

from showattend.cli.options import Commands, whole_number
from showattend.console import print_line


def add_parser(commands: Commands) -> None:
    """The options of `showattend shapes`."""
    shapes = commands.add_parser("shapes", help="write the embedded data set of coloured shapes into a folder")
    shapes.add_argument("folder", type=Path, help="folder to write")
    shapes.add_argument("--seed", type=whole_number(0), default=0, help="another seed draws other pictures (default: %(default)s)")
    shapes.add_argument("--language", default="en", help="of the captions: en, de, zh or ar (default: %(default)s)")
    shapes.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw the pictures and write them with their captions."""
    from showattend.data.shapes import write_shapes

    print_line(f"shapes in {write_shapes(args.folder, seed=args.seed, language=args.language)}")
    return 0
