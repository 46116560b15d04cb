"""The command `showattend`: one subcommand for each thing that a user does.

Nothing heavy is imported before a command runs, so that `showattend --help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from showattend.cli import attend, caption, cells, configs, data, demo, evaluate, ground, score, shapes, training
from showattend.errors import InputError
from showattend.version import __version__

# In the order of `showattend --help`.
COMMANDS = (demo, shapes, data, configs, training, caption, attend, score, evaluate, ground, cells)
EPILOG = """\
first steps:
  showattend demo                                        train on pictures of shapes and draw the attention: minutes
  showattend fit --config flickr8k --data.root DIR
  showattend caption photos/ --model runs/flickr8k/model
  showattend attend photo.jpg --model runs/flickr8k/model --out photo-attention.png
  showattend score photo.jpg "a dog runs on the beach" --model runs/flickr8k/model
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="showattend",
        description="Caption photos word by word, and see where the model looked for each word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"showattend {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error (anywhere on the line)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 after success, 1 if some photos failed, 2 after bad input
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if arguments and arguments[0] in training.COMMANDS:
            return training.run(arguments)
        args = make_parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
    except InputError as error:
        if debug:
            raise
        print(f"showattend: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output has closed it (caption … | head): no error of ours, and nobody to report it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("showattend: stopped", file=sys.stderr)
        return 130


def run(*command: str) -> None:
    """The console command, or with arguments the start of its command line."""
    sys.exit(main([*command, *sys.argv[1:]]))
