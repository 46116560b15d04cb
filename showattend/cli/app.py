"""`showattend app`: a page in the browser that captions photos and shows where the model looked."""

from __future__ import annotations

import argparse

from showattend.cli.drawing import add_style_options, drawing_options_from_args
from showattend.cli.from_args import captioners_by_name
from showattend.cli.options import Commands, add_model_options, whole_number
from showattend.console import print_error, print_line

MAX_EXAMPLES = 8


def add_parser(commands: Commands) -> None:
    """The options of `showattend app`."""
    app = commands.add_parser(
        "app",
        help="a page in the browser: drop a photo, see its caption and where the model looked (extra: app)",
        description="Serve a page on this machine, until Ctrl-C, that captions photos and shows where the model looked. "
        "It needs no network.",
    )
    add_model_options(app, several=True)
    app.add_argument("--examples", nargs="+", default=[], metavar="PATH", help="photos, folders or globs that visitors can choose from")
    add_style_options(app)
    server = app.add_argument_group("server")
    server.add_argument(
        "--host", default="127.0.0.1", metavar="NAME", help="listen on this address; 0.0.0.0: on all (default: %(default)s)"
    )
    server.add_argument(
        "--port", type=whole_number(1, 65535), metavar="N", help="port to listen on (default: the first free one from 7860 on)"
    )
    server.add_argument(
        "--max-upload", type=whole_number(1), default=100, metavar="MB", help="largest file of a visitor (default: %(default)s)"
    )
    server.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    server.add_argument("--share", action="store_true", help="ask Gradio's servers for a public address; photos then pass through them")
    app.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until the user ends it."""
    from showattend.app import ModelSet, ServerOptions, serve
    from showattend.data.photos import find_photos

    drawing = drawing_options_from_args(args)
    examples, note = find_photos(args.examples) if args.examples else ([], "")
    if note:
        print_error(note)
    models = ModelSet(captioners_by_name(args.model, args))
    options = ServerOptions(args.host, args.port, args.max_upload, args.share, not args.no_browser)
    try:
        serve(models, drawing, examples[:MAX_EXAMPLES], options, lambda address: print_line(f"{address}  (Ctrl-C ends it)"))
    except KeyboardInterrupt:
        print_error("showattend: the page is closed")
    return 0
