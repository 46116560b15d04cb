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
