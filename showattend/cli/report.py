"""`showattend report`: one page about a training run."""

import argparse
from pathlib import Path

from showattend.cli.options import Commands
from showattend.console import print_line, printable
from showattend.errors import InputError
from showattend.files import check_readable, check_writable


def add_parser(commands: Commands) -> None:
    """The options of `showattend report`."""
    report = commands.add_parser(
        "report",
        help="one page about a training run: curves, best figures, cost, captions as they grew",
        description="Write one page about a run of `showattend fit` or `refine`: losses and scores over the epochs, the best figures and "
        "what they were measured on, time and memory, the configuration, and the captions and attention maps of the same validation "
        "photos from epoch to epoch (`fit --history_photos N` keeps them).",
    )
    report.add_argument("run_folder", type=Path, metavar="RUN", help="folder of the run, such as runs/NAME")
    report.add_argument("--out", type=Path, metavar="FILE", help="the page, a name that ends with .html (default: RUN/report.html)")
    report.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    out = args.out or args.run_folder / "report.html"
    if out.suffix.lower() != ".html":
        raise InputError(f"cannot write the report as '{out.name}': end its name with .html")
    if args.out is None:  # the folder may come from elsewhere
        if out.is_symlink():
            raise InputError(f"{out} is a link, and what it leads to would be written over: give --out FILE")
        check_readable(out)  # a page that is there is replaced, a pipe would be waited for
    from showattend.visualize import read_run, write_run_report

    history = read_run(args.run_folder)
    check_writable(out)
    write_run_report(out, history)
    print_line(printable(out))
    return 0
