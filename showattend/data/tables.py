"""Tables of text: rows by column, from files with commas, tabs, semicolons or bars between the columns."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from showattend.data.images import has_photo_suffix
from showattend.data.listings import ListingFile
from showattend.data.text_files import split_lines
from showattend.errors import InputError

DELIMITERS = ",\t|;"
PHOTO_COLUMNS = (
    "image",
    "image_name",
    "file_name",
    "filename",
    "photo",
    "image_path",
    "image_file",
    "filepath",
    "path",
    "file",
    "img",
    "image_id",
)
CAPTION_COLUMNS = ("caption", "comment", "text", "captions", "raw", "sentence", "description")
SPLIT_COLUMNS = ("split", "set", "subset", "partition")
NUMBERED = re.compile(r"(caption|comment|text|sentence|description)s?[ _-]?\d+")
MAX_FIELD = 2**24  # characters; Python's csv module stops at 131,072 otherwise


class Row(NamedTuple):
    """One row: the number of its last line in the file, and its fields by lower-case column."""

    line: int
    fields: dict[str, str]


class Table(NamedTuple):
    """The rows of a file, and the lines of rows that have too few fields and are left out."""

    columns: list[str]
    rows: list[Row]
    short_lines: list[int]


def read_table(file: ListingFile) -> Table:
    """Read a table whose first row names the columns.

    A row with too many fields is read if the last column holds text with unquoted delimiters; if it has quotes, nobody can say
    where its fields end.

    Raises:
        InputError: a column stands twice, quotes are not closed, or a row has too many fields.
    """
    delimiter = max(DELIMITERS, key=file.first_line.count)
    lines = split_lines(file.text)
    table = Table([], [], [])
    previous = 0
    for line, fields in _parse(file, delimiter):
        raw, previous = lines[previous:line], line
        if not any(field.strip() for field in fields):
            continue
        if not table.columns:
            headless = _columns_of_headless(fields)
            table.columns.extend(headless or _columns(file, fields))
            if not headless:
                continue
        fields = _without_empty_end(fields, len(table.columns))
        if len(fields) > len(table.columns):
            fields = _rejoin(file, raw, line, delimiter, table.columns)
        if len(fields) < len(table.columns):
            table.short_lines.append(line)
        else:
            table.rows.append(Row(line, dict(zip(table.columns, fields, strict=True))))
    return table


def find_column(file: ListingFile, table: Table, names: Sequence[str]) -> str:
    """The first of some names that is a column of the table.

    Raises:
        InputError: none is.
    """
    name = next((name for name in names if name in table.columns), None)
    if name is None:
        raise InputError(f"{file.path} needs a column named {' or '.join(names[:5])}; it has {', '.join(table.columns) or 'none'}")
    return name


def find_caption_columns(file: ListingFile, table: Table) -> list[str]:
    """The columns that hold a caption each: numbered ones, such as caption_0 to caption_4, with the plain one, or the plain one alone.

    Raises:
        InputError: there is none.
    """
    numbered = [name for name in table.columns if NUMBERED.fullmatch(name)]
    plain = [name for name in CAPTION_COLUMNS if name in table.columns][:1]
    return [*plain, *numbered] if numbered else [find_column(file, table, CAPTION_COLUMNS)]


def _parse(file: ListingFile, delimiter: str) -> list[tuple[int, list[str]]]:
    """The rows of the file, each with the number of its last line."""
    try:
        return _parse_quoted(file, delimiter, csv.QUOTE_MINIMAL)
    except InputError:
        if delimiter == ",":
            raise
        # Files with bars or tabs often have no quoting: there a quotation mark is part of the caption.
        return _parse_quoted(file, delimiter, csv.QUOTE_NONE)


def _parse_quoted(file: ListingFile, delimiter: str, quoting: Literal[0, 3]) -> list[tuple[int, list[str]]]:
    stream = io.StringIO(file.text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True, quoting=quoting)
    limit = csv.field_size_limit(MAX_FIELD)
    try:
        return [(reader.line_num, fields) for fields in reader]
    except csv.Error as error:
        raise InputError(f"{file.path} line {reader.line_num}: {error}: put captions with quotes or line breaks into quotes") from error
    finally:
        csv.field_size_limit(limit)


def _columns(file: ListingFile, fields: Sequence[str]) -> list[str]:
    columns = _without_empty_end([field.strip().lower() for field in fields], 0)
    duplicate = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if duplicate is not None:
        raise InputError(f"{file.path} has several columns named '{duplicate}': give each its own name, one caption a row")
    return columns


def _columns_of_headless(fields: Sequence[str]) -> list[str]:
    """The columns of a table whose first row is a photo with its caption already, perhaps with the caption's number between them."""
    if len(fields) < 2 or not is_photo_name(fields[0].strip()):
        return []
    return ["image", "number", "caption"] if len(fields) > 2 and fields[1].strip().isdecimal() else ["image", "caption"]


def is_photo_name(text: str) -> bool:
    """Whether a text is the name of a photo; one with angle brackets is HTML or a web address in mail."""
    return has_photo_suffix(text) and not {"<", ">"} & set(text)


def _without_empty_end(fields: list[str], least: int) -> list[str]:
    """The fields without empty ones at the end, but at least so many of them as there are columns."""
    end = len(fields)
    while end > least and not fields[end - 1].strip():
        end -= 1
    return fields[:end]


def _rejoin(file: ListingFile, raw: Sequence[str], line: int, delimiter: str, columns: Sequence[str]) -> list[str]:
    """The fields of a row of which the last one holds delimiters."""
    if len(raw) != 1 or '"' in raw[0] or columns[-1] not in CAPTION_COLUMNS or any(map(NUMBERED.fullmatch, columns)):
        raise InputError(
            f"{file.path} line {line}: the row has more fields than the {len(columns)} columns: put captions with '{delimiter}' into quotes"
        )
    return raw[0].split(delimiter, len(columns) - 1)
