"""The commands `fit`, `refine`, `validate` and `test`."""

import logging
import re
import threading
import traceback
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from showattend.errors import InputError
from showattend.inference.device import stop_looking_for_gpus
from showattend.training.error_messages import as_input_error
from showattend.training.interruption import Terminated
from showattend.training.launching import is_lost_connection, wait_for_first_process
from showattend.training.lightning_cli import ConfigFile, TrainingCLI
from showattend.training.recipes import with_config_paths
from showattend.training.runs import unlock_run_folders

HARMLESS_WARNINGS = (
    ".*args parameter is intended to run from within Python.*",
    # The encoder is in eval mode on purpose, and the loaders' workers are the user's choice.
    ".*in eval mode at the start of training.*",
    ".*does not have many workers.*",
    ".*The number of training batches.*is smaller than the logging interval.*",
    # Checkpoints are read without the callbacks that wrote them, and a resumed run keeps its earlier metrics.
    ".*callbacks used to create the checkpoint need to be provided.*",
    ".*directory .* exists and is not empty.*",
    ".*treespec, LeafSpec.*",
    # One process may run with or without a batch system's launcher.
    ".*`srun` command is available.*",
    # Of a run that ends before its first validation the last line says that no model was kept.
    ".*could not find the monitored key in the returned metrics.*",
    # All processes have the same validation scores before they are logged.
    ".*recommended to use .*sync_dist=True.*",
    # The batches of a resumed epoch begin where the checkpoint says.
    ".*your dataloader is not resumable.*",
)
DESCRIPTIONS = {
    "fit": "Train a captioner. Example: showattend fit --config flickr8k --data.root DIR. `showattend configs` lists the recipes. Every "
    "line of a recipe is an option here, and an option replaces what the recipe says; --trainer.* are those of Lightning's Trainer.",
    "refine": "Train a finished model further on CIDEr-D itself, by self-critical sequence training. Example: showattend refine --config "
    "scst --model.start runs/flickr8k/model --data.root DIR",
    "validate": "Score a checkpoint's captions of the validation photos. Example: showattend validate --config flickr8k --data.root DIR "
    "--ckpt_path runs/flickr8k/checkpoints/best.ckpt. `showattend evaluate` scores a finished model, with intervals.",
    "test": "Score a checkpoint's captions of the test photos; see showattend validate --help.",
}
# Sections of the configuration that are written without `model.` in messages.
SECTIONS = re.compile(r"^(?=(?:encoder|preprocessing|decoder|loss|reinforce|optimizer|generation|self_critical)\.)")


def train(arguments: Sequence[str]) -> int:
    """Run `fit`, `refine`, `validate` or `test` with the arguments of a command line.

    Raises:
        InputError: an option, the data or a checkpoint is bad.
    """
    try:
        return _run_trainer(*arguments)
    except (Exception, KeyboardInterrupt):
        wait_for_first_process()
        raise


def _run_trainer(command: str, *rest: str) -> int:
    """Run a command, with what is harmless left out, and errors of the user's options in one line."""
    # Lightning's own announcements, an advertisement among them; warnings and errors still come through.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    stop_looking_for_gpus()
    with warnings.catch_warnings(), _silent_log_thread(), with_config_paths(rest) as options:
        for message in HARMLESS_WARNINGS:
            warnings.filterwarnings("ignore", message)
        try:
            TrainingCLI(
                refine=command == "refine",
                # Lightning knows no refine: it is the same loop over another step.
                args=["fit" if command == "refine" else command, *options],
                save_config_callback=ConfigFile,
                save_config_kwargs={"save_to_log_dir": False},
                parser_kwargs={"exit_on_error": False, **_help_texts(command)},
                auto_configure_optimizers=False,
                trainer_defaults={"devices": 1},
                seed_everything_default=0,
            )
        except Terminated as stop:
            # The status is the first process's, which would be killed, perhaps while it writes, where another one's is not 0.
            return 0 if rank_zero_only.rank else int(stop.code or 0)  # type: ignore[attr-defined]
        except SystemExit as stop:  # how Lightning answers Ctrl-C, and a signal that is an exception, before the first step
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise stop.__context__ from None
            raise
        except (ArgumentError, MisconfigurationException) as error:
            raise as_input_error(error, command) from error
        except InputError as error:
            raise type(error)(SECTIONS.sub("--model.", str(error))) from error
        except (ValueError, TypeError) as error:
            if not _is_lightnings_own(error):
                raise
            raise as_input_error(error, command) from error
        except RuntimeError as error:
            if not is_lost_connection(error):
                raise
            raise InputError("another process of this run has ended, and this one with it: its own message says why") from error
        finally:
            unlock_run_folders()
    return 0


def _help_texts(command: str) -> dict[str, dict[str, str]]:
    """What `--help` begins with, by Lightning's name of the command: its own usage would list 400 options."""
    texts = {"usage": f"showattend {command} [--config NAME] [--data.root DIR] [--OPTION VALUE ...]", "description": DESCRIPTIONS[command]}
    return {"fit" if command == "refine" else command: texts}


@contextmanager
def _silent_log_thread() -> Iterator[None]:
    """Let the thread that writes TensorBoard's events end without a word where the disk is full: its error comes up in this thread too."""
    before = threading.excepthook

    def report(ended: threading.ExceptHookArgs) -> None:
        if not isinstance(ended.exc_value, OSError):
            before(ended)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = before


def _is_lightnings_own(error: BaseException) -> bool:
    """Whether Lightning itself raised an error: it checks some options only when it uses them."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].startswith("lightning.")
