"""Chunks as rows of Ray Data: msgpack, and pixels as they are."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from showattend.bulk.chunks import CaptionedChunk, DecodedChunk, Place, Row


class _Meta(msgspec.Struct):
    """A decoded chunk without its pixels."""

    place: Place
    ids: list[str]
    sizes: list[tuple[int, int]]
    reasons: list[str]
    fatal: str


class _Rows(msgspec.Struct):
    place: Place
    rows: list[Row]
    fatal: str


def pack_decoded(chunk: DecodedChunk) -> Any:
    """A decoded chunk as a table of one row."""
    meta = _Meta(chunk.place, chunk.ids, chunk.sizes, chunk.reasons, chunk.fatal)
    return pa.table({"meta": binary(msgspec.msgpack.encode(meta)), "pixels": binary(chunk.pixels.tobytes())})


def unpack_decoded(table: Any, side: int) -> list[DecodedChunk]:
    """The decoded chunks of a table, whose photos have this side."""
    return [_unpack_decoded(*row, side) for row in zip(table.column("meta"), table.column("pixels"), strict=True)]


def pack_captioned(chunk: CaptionedChunk) -> Any:
    """A captioned chunk as a table of one row."""
    return pa.table({"rows": binary(msgspec.msgpack.encode(_Rows(chunk.place, chunk.rows, chunk.fatal)))})


def unpack_captioned(table: Any) -> list[CaptionedChunk]:
    """The captioned chunks of a table."""
    chunks = [msgspec.msgpack.decode(content.as_py(), type=_Rows) for content in table.column("rows")]
    return [CaptionedChunk(chunk.place, chunk.rows, chunk.fatal) for chunk in chunks]


def binary(content: bytes) -> Any:
    """A column of one value."""
    return pa.array([content], pa.large_binary())


def _unpack_decoded(meta: Any, pixels: Any, side: int) -> DecodedChunk:
    chunk = msgspec.msgpack.decode(meta.as_py(), type=_Meta)
    array = np.frombuffer(pixels.as_buffer(), np.uint8).reshape(-1, 3, side, side).copy()  # torch wants memory that may be written
    return DecodedChunk(chunk.place, chunk.ids, array, chunk.sizes, chunk.reasons, chunk.fatal)
