"""The command `showattend`: one subcommand for each thing that a user does.

Nothing heavy is imported before it is known what is asked for, so that `showattend --help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from showattend.cli.parsers import TRAINING, make_parser
from showattend.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 if some photos failed, 2 after bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if arguments and arguments[0] in TRAINING:
            from showattend.training.command import train

            return train(arguments)
        args = make_parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
    except InputError as error:
        if debug:
            raise
        print(f"showattend: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our lines has gone (caption … | head): that is no error of ours, and there is no one to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("showattend: stopped", file=sys.stderr)
        return 130


def run() -> None:
    """The console command."""
    sys.exit(main())
