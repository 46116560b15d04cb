"""One line for what the argument parser or Lightning refuses, with the nearest known option."""

import difflib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from lightning import Trainer

from showattend.errors import InputError
from showattend.training.config import CaptionerConfig, RefineConfig
from showattend.training.run_config import DataConfig, RunConfig


def option_names(command: str) -> list[str]:
    """The full names of a command's options, such as model.decoder.hidden_size."""
    model = RefineConfig if command == "refine" else CaptionerConfig
    names = [*_field_names(model, "model."), *_field_names(DataConfig, "data."), *_field_names(RunConfig, "")]
    return [*names, *(f"trainer.{name}" for name in inspect.signature(Trainer).parameters), "config", "ckpt_path", "seed_everything"]


def _field_names(config: type[Any], prefix: str) -> Iterator[str]:
    declared = get_type_hints(config)
    for field in fields(config):
        kind = declared[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from _field_names(kind, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def nearest_option(name: str, known: list[str]) -> str | None:
    """The known option that a name was probably meant to be: its last part counts most, then the whole.

    >>> nearest_option("model.hiden_size", ["model.decoder.hidden_size", "model.decoder.layers"])
    'model.decoder.hidden_size'
    """

    def likeness(option: str) -> tuple[float, float]:
        last, whole = (
            difflib.SequenceMatcher(None, one, other).ratio()
            for one, other in ((name.rpartition(".")[2], option.rpartition(".")[2]), (name, option))
        )
        return last, whole

    best = max(known, key=likeness)
    return best if likeness(best)[0] > 0.6 else None


def as_input_error(error: Exception, command: str) -> InputError:
    """The error of a user's option, from the parser's or Lightning's exception."""
    # Options have their full names there, behind Lightning's name of the command.
    message = re.sub(r"\b(?:fit|validate|test)\.(?=\w)", "--", " ".join(str(error).split()))
    unknown = re.search(r"unrecognized arguments: --([\w.]+)", message) or re.search(r"does not accept option '([\w.]+)'", message)
    if unknown is None:
        return InputError(f"{message}: see showattend {command} --help")
    name = unknown[1]
    if group := re.search(r"Group '([\w.-]+)' does not accept", message):
        name = f"{group[1].removeprefix('--').strip()}.{name}"
    near = nearest_option(name, option_names(command))
    hint = f"did you mean --{near}?" if near else f"see showattend {command} --help"
    return InputError(f"unknown option --{name}: {hint}")
