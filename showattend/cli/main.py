"""The command `showattend`: one subcommand for each thing that a user does.

Nothing heavy is imported before a command runs, so that `showattend --help` answers at once.
"""

import argparse
import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from showattend.cli import (
    app,
    attend,
    bulk,
    caption,
    cells,
    configs,
    data,
    demo,
    evaluate,
    export,
    ground,
    idf,
    neighbors,
    report,
    score,
    shapes,
    study,
    training,
)
from showattend.cli.options import whole_number
from showattend.cli.stopping import (
    Terminated,
    check_memory_limit,
    discard_unwritten_output,
    flush_output,
    in_one_line,
    termination_as_exception,
)
from showattend.console import prepare_streams, print_error, printable
from showattend.files import ensure_home
from showattend.version import __version__

# In the order of `showattend --help`.
COMMANDS = (
    demo,
    shapes,
    data,
    configs,
    training,
    caption,
    bulk,
    attend,
    app,
    neighbors,
    export,
    score,
    evaluate,
    idf,
    ground,
    report,
    cells,
    study,
)
EPILOG = """\
first steps:
  showattend demo                                        train on pictures of shapes and draw the attention: minutes
  showattend fit --config flickr8k --data.root DIR
  showattend caption photos/ --model runs/flickr8k/model
  showattend attend photo.jpg --model runs/flickr8k/model --out photo-attention.png
  showattend score photo.jpg "a dog runs on the beach" --model runs/flickr8k/model
"""


class Parser(argparse.ArgumentParser):
    """A parser that quotes what it does not know without its control characters, and says what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """End with the message, and status 2."""
        hint = ""
        if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            hint = _nearest(match[1], re.findall(r"[\w-]+", match[2]))
        elif match := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            hint = self._about_option(match[1])
        super().error(printable(message) + hint)

    def _about_option(self, option: str) -> str:
        """Which commands have an option that this one lacks, or the option that was probably meant."""
        groups = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        parsers = {name: parser for choices in groups for name, parser in choices.items()}
        if commands := [name for name, parser in parsers.items() if option in parser._option_string_actions]:
            return f", which {', '.join(commands)} {'has' if len(commands) == 1 else 'have'}"
        return _nearest(option, [name for parser in (self, *parsers.values()) for name in parser._option_string_actions])


def _nearest(typed: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(typed, known, n=1)
    return f": did you mean {near[0]}?" if near else ""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="showattend",
        description="Caption photos word by word, and see where the model looked for each word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"showattend {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error (anywhere on the line)")
    parser.add_argument("--max-pixels", metavar="N", help="read pictures of up to N pixels (anywhere on the line; default: 178956970)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 after success, 1 if some photos failed, 2 after bad input or where nothing can be written, 128 and its number after a signal
    """
    prepare_streams()
    # OpenMP's threads spin while they wait for each other, which beside other programs makes all of them slow: let them sleep sooner.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    ensure_home()
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        try:
            status = _run(_take_max_pixels(arguments))
        except SystemExit:  # after --help, say
            flush_output()
            raise
        flush_output()
        return status
    except Exception as error:
        message = in_one_line(error)
        if debug or message is None:
            raise
        if message:
            print_error(f"showattend: {message}")
        return 2 if message else 1
    except KeyboardInterrupt as error:
        print_error("showattend: stopped" + "".join(f"; {kept}" for kept in error.args))
        return 128 + (error.signal if isinstance(error, Terminated) else signal.SIGINT)
    finally:
        discard_unwritten_output()


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in training.COMMANDS:
        _prepare()
        with termination_as_exception():
            return training.run(arguments)
    args = make_parser().parse_args(arguments)
    _prepare()
    run: Callable[[argparse.Namespace], int] = args.run
    with termination_as_exception():
        return run(args)


def _prepare() -> None:
    """What comes before the work, and need not come before --help."""
    import logging

    check_memory_limit()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where HOME may not be written to, and works


def _take_max_pixels(arguments: list[str]) -> list[str]:
    """Take --max-pixels N, which every command has, out of the arguments, and hand it on to the worker processes."""
    taken = argparse.ArgumentParser(prog="showattend", add_help=False, allow_abbrev=False)
    taken.add_argument("--max-pixels", type=whole_number(1))
    if not any(argument.partition("=")[0] == "--max-pixels" for argument in arguments):
        return arguments
    args, rest = taken.parse_known_args(arguments)
    os.environ["SHOWATTEND_MAX_PIXELS"] = str(args.max_pixels)
    return rest


def run(*command: str) -> None:
    """The console command, or with arguments the start of its command line."""
    sys.exit(main([*command, *sys.argv[1:]]))
