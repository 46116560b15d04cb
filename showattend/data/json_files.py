"""JSON files whose content is not trusted: read within limits, then checked against a schema."""

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from showattend.data.text_files import read_text
from showattend.errors import InputError

T = TypeVar("T")
MAX_BYTES = 2**31  # several times the largest file of COCO
SAMPLE = 2**15  # bytes at either end of a file by which its format is recognised
FIELD = re.compile(r" - at `\$(.*)`$")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file cannot be read, is too large, or is not JSON.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if size > MAX_BYTES:
        raise InputError(f"cannot read {path}: it has {size / 1e9:.1f} GB, and at most {MAX_BYTES / 1e9:.1f} GB are read")
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> Any:
    """The content of a JSON text; `path` is its file's name in errors.

    Raises:
        InputError: the text is not JSON, is nested too deeply, or holds an integer of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{path} is no JSON of ours: its lists and objects are nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {str(error).partition(';')[0]}") from error


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
