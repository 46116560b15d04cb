"""Hugging Face's `datasets`, saved to disk (Arrow) or downloaded from the hub (parquet), with the photos inside; the extra `arrow`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from showattend.data.folders import DataFolder
from showattend.data.images import has_photo_suffix
from showattend.data.listings import Listing, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, split_by_tenths
from showattend.data.readers.json_records import captions_of_record
from showattend.data.shards import PackedPhoto, unpack
from showattend.data.tables import PHOTO_COLUMNS, SPLIT_COLUMNS
from showattend.errors import InputError

MAX_SHARDS = 100_000
BATCH = 32  # rows that are in memory together
PICTURE_COLUMNS = ("image", "jpg", "png", "webp", "photo", "img", "picture", "image_bytes", "bytes")
NAME_COLUMNS = tuple(name for name in PHOTO_COLUMNS if name not in PICTURE_COLUMNS)


@CAPTION_READERS.register("arrow")
class ArrowReader(CaptionReader):
    """A column of pictures, `image` say, as bytes or as `datasets` stores them, and columns of captions as in a table."""

    signs = ("*.parquet", "*.arrow", "data/*.parquet")
    example = "data/train-00000-of-00001.parquet with the columns image and caption"

    def find(self, root: DataFolder) -> list[Path]:
        """Files with a column of pictures; without the library, all such files in a folder without photos."""
        has_photos = any(map(has_photo_suffix, root.files))
        return root.find(self.signs, lambda path: _has_pictures(path, otherwise=not has_photos), most=MAX_SHARDS)

    def read(self, root: DataFolder) -> Listing:
        """Photos of all files, unpacked; a split is in a column, or in the name of the file or of its folder."""
        return split_by_tenths(unpack(root.root, self.all_files(root), _read_file))


def _has_pictures(path: Path, *, otherwise: bool) -> bool:
    """Whether a file has a column of pictures; `otherwise`, if the library is not installed."""
    try:
        library = _library()
    except InputError:
        return otherwise
    try:
        batch = next(_batches(library, path), None)
    except (library.ArrowException, OSError):
        return True  # an error of the reader says more
    return batch is not None and any(name.strip().lower() in PICTURE_COLUMNS for name in batch.schema.names)


def _read_file(path: Path, split: str) -> Iterator[PackedPhoto]:
    library = _library()
    try:
        for batch in _batches(library, path):
            yield from (_photo(row, path, split) for row in batch.to_pylist())
    except (library.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from error


def _batches(library: Any, path: Path) -> Iterator[Any]:
    """Some rows of a file after the other."""
    if path.suffix.lower() == ".parquet":
        from pyarrow.parquet import ParquetFile

        with ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH)
        return
    with library.memory_map(str(path)) as file:
        try:
            stream = library.ipc.open_stream(file)  # as `datasets` writes it
        except library.ArrowInvalid:
            reader = library.ipc.open_file(file)
            stream = (reader.get_batch(number) for number in range(reader.num_record_batches))
        for batch in stream:
            batch.validate(full=True)
            yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


def _photo(row: Mapping[str, Any], path: Path, split: str) -> PackedPhoto:
    """The photo of a row.

    Raises:
        InputError: the columns hold no picture, or no caption.
    """
    fields = {name.strip().lower(): value for name, value in row.items()}
    column = next((name for name in PICTURE_COLUMNS if name in fields), None)
    if column is None:
        raise InputError(f"{path} has no column of pictures named {' or '.join(PICTURE_COLUMNS[:3])}; it has {', '.join(fields)}")
    picture = fields.pop(column)
    content, name = (picture.get("bytes"), picture.get("path")) if isinstance(picture, dict) else (picture, None)
    if content is None and name:
        raise InputError(
            f"{path} names photos in its column {column}, such as {str(name)[:60]}, and holds none: save the data set with its photos"
        )
    if not isinstance(content, bytes | None):
        raise InputError(f"{path}: the column {column} holds {str(content)[:40]!r} and no picture")
    given = next((str(fields[name]) for name in NAME_COLUMNS if fields.get(name) is not None), None)
    own_split = next((split_name(str(fields[name])) for name in SPLIT_COLUMNS if fields.get(name)), "")
    return PackedPhoto(given or str(name or "photo"), content, captions_of_record(fields, str(path)), own_split or split)


def _library() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise InputError("parquet and Arrow are read by a library of its own: pip install 'showattend[arrow]'") from error
    return pyarrow
