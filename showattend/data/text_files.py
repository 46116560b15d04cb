"""Text files as they are written: UTF-8, UTF-16 or Latin-1, with a byte order mark or without; lines that end at line breaks only."""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from showattend.errors import InputError
from showattend.files import check_readable

MAX_BYTES = 2**31  # several times the largest file of COCO

LINE_BREAK = re.compile(r"\r\n|\n|\r")
# The mark of UTF-32 begins with that of UTF-16: the longer ones come first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 2**16  # bytes at the start of a file by which UTF-16 without a mark is recognised
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HIGH = re.compile(rb"[\x80-\xff]+")
LONGEST_ACCENTED = 3  # letters with accents in a row, as in `créée`; other 8-bit encodings have whole words of such bytes


class DecodedText(NamedTuple):
    """The text of a file without its byte order mark, and the encoding that it was read in."""

    text: str
    encoding: str


def read_text(path: Path) -> str:
    """The text of a file, with its line breaks as they are.

    Raises:
        InputError: see `read_decoded`.
    """
    return read_decoded(path).text


def read_decoded(path: Path) -> DecodedText:
    """The text of a file and its encoding: UTF-8, UTF-16, UTF-32, or Latin-1 (as Windows has it) where it can be nothing else.

    Raises:
        InputError: the file cannot be read, or its encoding cannot be recognised.
    """
    check_readable(path)
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"cannot read {path}: it has {size / 1e9:.1f} GB, and at most {MAX_BYTES / 1e9:.1f} GB are read")
        content = path.read_bytes()
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    mark, encoding = next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", _encoding(content)))
    try:
        return DecodedText(content[len(mark) :].decode(encoding), encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read {path}: byte {error.start + len(mark)} is not {encoding.upper()} ({error.reason}): save the file as UTF-8"
        ) from error


def split_lines(text: str) -> list[str]:
    """The lines of a text.

    `str.splitlines` would also split at U+2028, U+0085, form feeds and the like, which occur inside captions.

    >>> split_lines("one\\u2028line\\r\\nanother")
    ['one\\u2028line', 'another']
    """
    return LINE_BREAK.split(text)


def _encoding(content: bytes) -> str:
    """The encoding of bytes without a mark; UTF-8 where nothing else can be told."""
    sample = content[:SAMPLE]
    # Text has no null characters, and most of its characters are below U+0100: in UTF-16 every other byte of them is null.
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        nulls, others = sample[first::2].count(0), sample[1 - first :: 2].count(0)
        if nulls > len(sample) / 5 and not others and len(content) % 2 == 0:
            return name
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "windows-1252" if _is_latin(content) else "utf-8"
    return "utf-8"


def _is_latin(content: bytes) -> bool:
    """Whether bytes that are not UTF-8 are Latin-1: single letters with accents, no character of UTF-8, no control characters."""
    if MULTIBYTE.search(content) or b"\0" in content:
        return False
    runs = HIGH.findall(content)
    try:
        text = content.decode("windows-1252")
    except UnicodeDecodeError:
        return False
    return all(len(run) <= LONGEST_ACCENTED for run in runs) and any(character.isalpha() for character in text)
