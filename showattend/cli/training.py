"""`showattend fit`, `refine`, `validate` and `test`: Lightning's command line parses their options."""

from collections.abc import Sequence

from showattend.cli.options import Commands
from showattend.cli.stopping import in_one_line
from showattend.errors import InputError
from showattend.files import DISK_ERRORS

COMMANDS = {
    "fit": "train a captioner (options: showattend fit --help)",
    "refine": "train a finished model further, on CIDEr-D itself (self-critical training)",
    "validate": "scores of a checkpoint's own captions of the validation photos",
    "test": "scores of a checkpoint's own captions of the test photos",
}


OPTIONS = {"--batch-size": "--data.batch_size", "--workers": "--data.num_workers"}  # as other commands call them, and as these do


def add_parser(commands: Commands) -> None:
    """The names of the four commands, for `showattend --help`."""
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)


def run(arguments: Sequence[str]) -> int:
    """Run one of them with all of its arguments; its own name is the first.

    Raises:
        InputError: an option or the data is bad, or a log or a checkpoint cannot be written.
    """
    from showattend.training.command import train

    try:
        return train(arguments)
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS and not isinstance(error, BrokenPipeError):
            place = f" {error.filename}" if error.filename else ""
            raise InputError(
                f"cannot write into the folder of the run{place}: {error.strerror}: the checkpoints and the model that it holds are whole, "
                "go on with --ckpt_path last"
            ) from error
        message = in_one_line(error)
        if not message:
            raise
        for option, name in OPTIONS.items():
            message = message.replace(option, name)
        raise InputError(message) from error
