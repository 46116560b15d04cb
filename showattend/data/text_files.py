"""Text files as they are written: UTF-8 with a byte order mark or without, and lines that end at line breaks only."""

import re
from pathlib import Path

from showattend.errors import InputError

LINE_BREAK = re.compile(r"\r\n|\n|\r")


def read_text(path: Path) -> str:
    """The text of a file, with its line breaks as they are.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: byte {error.start} is not UTF-8 ({error.reason}): save the file as UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def split_lines(text: str) -> list[str]:
    """The lines of a text.

    `str.splitlines` would also split at U+2028, U+0085, form feeds and the like, which occur inside captions.

    >>> split_lines("one\\u2028line\\r\\nanother")
    ['one\\u2028line', 'another']
    """
    return LINE_BREAK.split(text)
