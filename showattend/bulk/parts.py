"""Parts: the files of an output folder, one for each unit, in Parquet or JSON lines, written whole or not at all."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from showattend.bulk.chunks import CaptionedChunk, Row
from showattend.bulk.tables import require_pyarrow
from showattend.errors import InputError
from showattend.files import atomic_write

PART = re.compile(r"part-(\d{6,})\.(?:parquet|jsonl)")


def part_name(index: int, suffix: str) -> str:
    """The file of a unit."""
    return f"part-{index:06}.{suffix}"


def finished_units(folder: Path) -> set[int]:
    """The numbers of the units whose parts are in a folder."""
    return {int(match[1]) for path in folder.iterdir() if (match := PART.fullmatch(path.name))}


class PartAssembler:
    """Collects the chunks of units, in any order and each perhaps several times, until a unit is whole."""

    def __init__(self) -> None:
        self._chunks: dict[int, dict[int, CaptionedChunk]] = {}

    def add(self, chunk: CaptionedChunk) -> list[Row] | None:
        """Take a chunk.

        Returns:
            the rows of its unit, if it is whole now

        Raises:
            InputError: the work cannot go on.
        """
        if chunk.fatal:
            raise InputError(chunk.fatal)
        chunks = self._chunks.setdefault(chunk.place.unit, {})
        chunks[chunk.place.start] = chunk
        ordered = [chunks[start] for start in sorted(chunks)]
        end = ordered[-1]
        if not end.place.last or sum(len(one.rows) for one in ordered[:-1]) < end.place.start:
            return None
        del self._chunks[chunk.place.unit]
        return [row for one in ordered for row in one.rows]


def write_part(path: Path, rows: Sequence[Row], model: str, *, alphas: bool) -> None:
    """Write the rows of a unit.

    Args:
        model: the digest of the model

    Raises:
        InputError: the disk is full, say.
    """
    with atomic_write(path) as temporary:
        WRITERS[path.suffix](temporary, [_record(row, model, alphas=alphas) for row in rows], alphas=alphas)


def _record(row: Row, model: str, *, alphas: bool) -> dict[str, Any]:
    """A row by column."""
    record = {"id": row.id, "caption": row.caption, "score": _finite(row.score), "model": model, "error": row.error}
    return record | ({"alphas": row.alphas, "grid": row.grid} if alphas else {})


def _finite(score: float | None) -> float | None:
    """A score as JSON can hold it: a search that ends without a caption has none."""
    return score if score is not None and math.isfinite(score) else None


def _write_parquet(path: Path, records: Sequence[Mapping[str, Any]], *, alphas: bool) -> None:
    library = require_pyarrow()
    from pyarrow.parquet import write_table

    text = library.string()
    fields = {"id": text, "caption": text, "score": library.float32(), "model": text, "error": text}
    if alphas:
        fields |= {"alphas": library.list_(library.list_(library.float32())), "grid": library.list_(library.int16())}
    write_table(library.Table.from_pylist(list(records), library.schema(list(fields.items()))), path, compression="zstd")


def _write_jsonl(path: Path, records: Sequence[Mapping[str, Any]], *, alphas: bool) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


WRITERS: dict[str, Callable[..., None]] = {".parquet": _write_parquet, ".jsonl": _write_jsonl}
