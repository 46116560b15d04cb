"""Checkpoint files: written whole or not at all, read without running code, refused in one line."""

import re
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.files import atomic_write, check_readable, writable
from showattend.registry import check_trusted

PLAIN_TEXT = re.compile(r"[\w.+-]*")  # of an option without a declared type: no text that a YAML loader could take for more
BEST, LAST = "best.ckpt", "last.ckpt"
# What a checkpoint of a showattend run holds beside what Lightning needs.
REQUIRED = ("state_dict", "words", "hyper_parameters")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its target, sync it and rename it; Lightning's own goes through TMPDIR and copies."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace `path` by the new checkpoint; after an error or a kill the old file is there, whole.

        Raises:
            InputError: it cannot be written.
        """
        path = Path(path)
        with atomic_write(path) as temporary:
            try:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
            except RuntimeError as error:
                # The archive writer hides the system's error behind one of its own.
                system = next((each for each in _chain(error) if isinstance(each, OSError)), None)
                with writable(path):
                    raise system or OSError(str(error).splitlines()[0]) from error

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint to the CPU, without unpickling any class."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of a showattend run; tensors stay in the file until they are used.

    Raises:
        InputError: it is not there, damaged, or something else.
    """
    check_readable(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # the unpickler raises almost anything on a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"cannot read the checkpoint {path} ({reason}): {_advice(path)}") from error
    missing = [name for name in REQUIRED if not isinstance(content, dict) or name not in content]
    if missing:
        raise InputError(f"{path} is no checkpoint of this version of showattend (it lacks {missing[0]}): {_advice(path)}")
    return dict(content)


def check_hyper_parameters(options: Any, config_class: type[Any], path: Path, trusted: Collection[str]) -> None:
    """Refuse a checkpoint whose options are not those of its configuration, or name code that is not trusted.

    Args:
        options: the checkpoint's hyper_parameters
        config_class: the dataclass that they are the fields of
        trusted: modules and dotted paths that may be imported

    Raises:
        InputError: see above.
    """
    try:
        config = from_mapping(config_class, options)
    except InputError as error:
        raise InputError(f"{path} is damaged, or of another command ({error}): {_advice(path)}") from error
    if not all(map(_is_plain, _free_options(config))):
        raise InputError(f"{path} is damaged: its options are no plain values: {_advice(path)}")
    for section, name, kind in (("encoder", "name", "encoder"), ("decoder", "cell", "cell"), ("decoder", "attention", "attention")):
        if hasattr(config, section):
            check_trusted(kind, getattr(getattr(config, section), name), trusted)


def _free_options(config: Any) -> Iterator[dict[str, Any]]:
    """The mappings of options without declared types, such as a cell's."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from _free_options(value)
        elif isinstance(value, dict):
            yield value


def _is_plain(value: Any) -> bool:
    """Whether a value stands for itself: the argument parser reads text as YAML and dots as nesting, and builds what has a class_path."""
    if isinstance(value, dict):
        return all(str(key).isidentifier() and key != "class_path" and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return bool(PLAIN_TEXT.fullmatch(value)) if isinstance(value, str) else isinstance(value, bool | int | float | None)


def _advice(path: Path) -> str:
    best = path.with_name(BEST)
    if path.name != BEST and best.exists():
        return f"give --ckpt_path {best}"
    return "give last, or the path of a .ckpt file"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it followed from."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
