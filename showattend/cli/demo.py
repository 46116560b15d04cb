"""`showattend demo`: draw shapes, train on them, score, caption and show."""

import argparse
from pathlib import Path

from showattend.cli.options import Commands, whole_number


def add_parser(commands: Commands) -> None:
    """The options of `showattend demo`."""
    demo = commands.add_parser(
        "demo",
        help="draw shapes, train on them, score, caption and show: minutes on a laptop, no network",
        description="Draw 4,600 pictures of shapes, train a small captioner on them, score it, caption a picture and show where it looked: "
        "4 minutes on two cores.",
    )
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for all results (default: %(default)s)")
    demo.add_argument("--seed", type=whole_number(0), default=0, help="another seed: other pictures, other weights (default: %(default)s)")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo in one fresh folder."""
    from showattend.demo import run_demo

    run_demo(args.out, seed=args.seed)
    return 0
