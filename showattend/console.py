"""The terminal: names and messages as text of one line, and standard streams that are always there and never refuse a character.

Names of files may hold anything but "/" and the null byte: line breaks, escape sequences that move the cursor, bytes that are no UTF-8.
They are escaped where they are printed, and stay exact in JSON.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from showattend.errors import InputError, shorten

# Besides control characters: halves of surrogate pairs, line and paragraph separators.
ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Marks that change the direction of the text after them, which could make one name look like another.
DIRECTION_MARKS = {"\u200e", "\u200f", "\u061c", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def printable(text: object) -> str:
    r"""A text on one line: characters that are no text are escaped, bytes of a name that are no UTF-8 as `\xff`.

    >>> print(printable("a\nb\x1b[2J\udcff.png"))
    a\nb\x1b[2J\xff.png
    """
    text = str(text)
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python decodes a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in ESCAPED_CATEGORIES or character in DIRECTION_MARKS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def encodable(text: str) -> str:
    """A text that UTF-8 can hold: bytes of a file's name that are no UTF-8 are escaped, and all else stays."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_error(message: object) -> None:
    """Print one line to standard error; nothing where that is closed or full, for there is nowhere else to report it."""
    try:
        with _without_progress_bars():
            print(shorten(printable(message)), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard_output(sys.stderr)


def _without_progress_bars() -> AbstractContextManager[None]:
    """Take progress bars off their line, and draw them again below; there are none before tqdm is imported."""
    tqdm = sys.modules.get("tqdm")
    return tqdm.tqdm.external_write_mode(file=sys.stderr) if tqdm else nullcontext()


@contextmanager
def writable_output() -> Iterator[None]:
    """Turn the refusal of standard output into one line; that its reader has ended stays a BrokenPipeError.

    Raises:
        InputError: the disk that it goes to is full, say.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot write standard output: {error.strerror or error}") from error


def print_line(*fields: object) -> None:
    """Print fields as one line at once, with tabs between them: names and a model's words may hold anything.

    Raises:
        InputError, BrokenPipeError: see `writable_output`.
    """
    with writable_output():
        print(*map(printable, fields), sep="\t", flush=True)


def prepare_streams() -> None:
    """Make standard output and error usable: closed ones discard what is written, and no character is an error.

    A closed stream's descriptor would be given to the next file that is opened, and whatever is printed would be written into that.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115 (lives as long as we)
        elif descriptor and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def discard_output(stream: TextIO) -> None:
    """Let a stream whose file refuses to be written to discard what is written from now on, and what it still holds."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
