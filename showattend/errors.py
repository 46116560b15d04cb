"""Errors in the user's input, which commands print in one line without a traceback."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


MAX_MESSAGE = 1500  # characters of a message; names and values in it may be of any length


class InputError(ValueError):
    """Bad input: the message says what is wrong, with the value, and what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message))


def shorten(text: str) -> str:
    """A text without its middle where it is longer than a message may be: a cause stands at the beginning, the remedy at the end."""
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE * 2 // 3]} … {text[-MAX_MESSAGE // 3 :]}"


def one_line(error: Exception) -> str:
    """A library's error for use inside a message: on one line, at most 200 characters, or its type if it has no text."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list of names, with the nearest one that is.

    >>> print(unknown_name("cell", "lstmm", ["gru", "lstm"]))
    unknown cell 'lstmm': did you mean 'lstm'? known: gru, lstm
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {kind} '{name}': {hint}known: {', '.join(names) or 'none'}")


def find_by_name(kind: str, name: str, entries: Mapping[str, Entry]) -> Entry:
    """The entry of a name.

    Raises:
        InputError: there is none; see `unknown_name`.
    """
    if name not in entries:
        raise unknown_name(kind, name, entries)
    return entries[name]
