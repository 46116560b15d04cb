"""JSON files whose content is not trusted: read within limits, then checked against a schema."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from showattend.data.text_files import read_text
from showattend.errors import InputError, shorten

T = TypeVar("T")
SAMPLE = 2**15  # bytes at either end of a file by which its format is recognised
FIELD = re.compile(r" - at `\$(.*)`$")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file cannot be read, is too large, or is not JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> Any:
    """The content of a JSON text; `path` is its file's name in errors.

    Raises:
        InputError: the text is not JSON, is nested too deeply, names a thing twice, or holds an integer of thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_as_dict)
    except RecursionError as error:
        raise InputError(f"{path} is no JSON of ours: its lists and objects are nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {str(error).partition(';')[0]}") from error


def _as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; Python's own reader would take the last of two values of one name without a word."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{shorten(repr(twice))} stands in it twice")
    return entries


def is_json_lines(text: str) -> bool:
    """Whether the first line of a text is a JSON object, and the next line begins another one."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        return rest.lstrip()[:1] == "{" and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def check_schema(value: Any, schema: type[T], where: str) -> T:
    """The content of a JSON file as an instance of its schema, which `msgspec.Struct` declares.

    Args:
        where: the file and what it should be, for the error

    Raises:
        InputError: a field is missing or has the wrong type or value; the message names record and field.
    """
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        message = str(error)
        field = FIELD.search(message)
        place = f"{where}: {field.group(1).lstrip('.')}" if field and field.group(1) else where
        reason = FIELD.sub("", message).replace("`", "")
        raise InputError(f"{place}: {reason[:1].lower()}{reason[1:]}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: the name of a field holds half of a surrogate pair, which is no character") from error


def check_texts(*values: object) -> None:
    """Refuse texts that cannot be written to a file; for `__post_init__` of schemas.

    Raises:
        ValueError: a text holds half of a surrogate pair, which no encoding can store.
    """
    for value in values:
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{value[:40]!r} holds half of a surrogate pair, which is no character")


def check_file_names(*values: object) -> None:
    """Refuse texts that cannot name a file; for `__post_init__` of schemas.

    Raises:
        ValueError: a name holds a null character or half of a surrogate pair.
    """
    check_texts(*values)
    for value in values:
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"{value[:40]!r} holds a null character, which no file's name has")


def sample_of(path: Path) -> str:
    """The beginning and the end of a file, to recognise its format by; an unreadable file is empty."""
    try:
        with path.open("rb") as file:
            start = file.read(SAMPLE)
            file.seek(max(len(start), path.stat().st_size - SAMPLE))
            content = start + file.read(SAMPLE)
    except OSError:
        return ""
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return content.replace(b"\0", b"").decode("latin-1").lstrip("ÿþ") if utf16 else content.decode("utf-8-sig", errors="replace")
