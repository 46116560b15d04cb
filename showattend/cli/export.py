"""`showattend export`: a model for other runtimes, or a page that captions in a browser."""

import argparse
from pathlib import Path

from showattend.cli.options import Commands, add_trust_option
from showattend.console import print_line
from showattend.errors import InputError

DESCRIPTION = """\
Write a model as three graphs, for photos' features, the first state and one word, with the vocabulary and a contract, contract.json, that
says what goes in and out. `showattend caption --backend onnxruntime --model OUT` captions with it, without torch. `--format web` adds a
page: any web server can serve the folder, and whoever opens it captions photos on their own machine.
"""


def add_parser(commands: Commands) -> None:
    """The options of `showattend export`."""
    export = commands.add_parser("export", help="write a model for other runtimes, or as a page for browsers", description=DESCRIPTION)
    export.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder, such as runs/NAME/model")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write; an older export there is replaced")
    export.add_argument("--format", default="onnx", metavar="NAME", help="onnx, pt2 (torch.export's own) or web (default: %(default)s)")
    export.add_argument("--int8", action="store_true", help="matrices of 8 bits, by onnxruntime: smaller, a little less exact")
    export.add_argument(
        "--ort-web",
        type=Path,
        metavar="PATH",
        help="for the page: the npm package onnxruntime-web, as a file (npm pack onnxruntime-web@1.30.0) or unpacked; "
        "default: downloaded once from registry.npmjs.org, and its digest checked",
    )
    add_trust_option(export)
    export.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder and say how large it is."""
    from showattend.export import check_export, export_model, export_page
    from showattend.pretrained import load_pretrained

    check_export(args.out, args.format, int8=args.int8)
    if args.ort_web and args.format != "web":
        raise InputError("--ort-web is for the page: give --format web, or leave it out")
    model = load_pretrained(args.model, trust=args.trust)
    if args.format == "web":
        export_page(model, args.out, int8=args.int8, ort_web=args.ort_web)
    else:
        export_model(model, args.out, args.format, int8=args.int8)
    print_line(f"{args.out}: {sum(path.stat().st_size for path in args.out.iterdir() if path.is_file()) / 1e6:.1f} MB")
    return 0
