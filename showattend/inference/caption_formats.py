"""Files of captions: JSON, CSV, and the result format of the COCO captions server, written photo by photo and read again to go on."""

import csv
import io
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from showattend.data.listings import PhotoId
from showattend.data.photo_index import PhotoIndex
from showattend.data.photos import image_id, photo_ids
from showattend.errors import InputError
from showattend.inference.caption import Caption


class Layout(NamedTuple):
    """What stands around the rows: before the first, between two, and after the last."""

    head: bytes
    first: bytes  # before the first row, behind the head
    separator: bytes
    tail: bytes


JSON_LAYOUT = Layout(head=b"[", first=b"\n", separator=b",\n", tail=b"\n]\n")
CSV_HEADER = ("file", "caption", "score", "rank")


class Entry(NamedTuple):
    """The rows of one photo in a file: the photo's key, where the rows end, and how many they are."""

    key: object
    end: int
    rows: int


class CaptionFormat(ABC):
    """A format of caption files: how the rows of a photo are written, and which photos a file holds."""

    layout = JSON_LAYOUT

    @classmethod
    def of(cls, photos: PhotoIndex) -> Self:
        """The format for files of these photos."""
        return cls()

    def note(self) -> str:
        """A line about what these photos are called; empty: nothing unusual."""
        return ""

    @abstractmethod
    def rows(self, photo: Path, caption: Caption) -> list[bytes]:
        """The rows of a photo; of several captions the best has rank 1."""

    @abstractmethod
    def key(self, photo: Path) -> object:
        """What the rows of a photo are recognised by."""

    @abstractmethod
    def row_keys(self, file: BinaryIO) -> Iterator[tuple[object, int]]:
        """The key and the end of each whole row of a file.

        Raises:
            ValueError: this is no file of the format.
        """

    def document(self, captions: Iterable[tuple[Path, Caption]]) -> bytes:
        """A whole file with the captions of some photos."""
        rows = [row for photo, caption in captions for row in self.rows(photo, caption)]
        body = self.layout.first + self.layout.separator.join(rows) if rows else b""
        return self.layout.head + body + self.layout.tail

    def entries(self, path: Path) -> Iterator[Entry]:
        """The photos of a file, in order.

        Raises:
            InputError: it cannot be read, or is no file that `showattend caption` writes.
        """
        entry: Entry | None = None
        try:
            with path.open("rb") as file:
                for key, end in self.row_keys(file):
                    if not isinstance(key, str | int | bytes | Path):
                        raise TypeError(f"{type(key).__name__} names no photo")
                    if entry is not None and entry.key != key:
                        yield entry
                        entry = None
                    entry = Entry(key, end, entry.rows + 1 if entry else 1)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
            raise InputError(f"cannot go on from {path}: it is no such file as showattend caption writes: leave out --resume") from error
        if entry is not None:
            yield entry


class JsonFormat(CaptionFormat):
    """Captions with words, scores, grid shape and boxes, and alphas; a row a line. A name that is no UTF-8 is exact."""

    def rows(self, photo: Path, caption: Caption) -> list[bytes]:
        """One object for each caption."""
        return [_json({"file": str(photo), "rank": rank, **_details(ranked)}) for rank, ranked in _ranked(caption)]

    def key(self, photo: Path) -> object:
        """The path as it is."""
        return str(photo)

    def row_keys(self, file: BinaryIO) -> Iterator[tuple[object, int]]:
        """The field `file`."""
        return ((row["file"], end) for row, end in _json_rows(file))


class CocoFormat(CaptionFormat):
    """Captions as the COCO captions server takes them: the best one of each photo.

    Args:
        ids: of photos that are not called by their names
    """

    def __init__(self, ids: Mapping[Path, PhotoId]) -> None:
        self.ids = ids

    @classmethod
    def of(cls, photos: PhotoIndex) -> Self:
        """The format with an id of its own for each photo."""
        sharing = photos.groups(lambda photo: image_id(photo.name))
        return cls({photo: photo_id for group in sharing for photo, photo_id in photo_ids(group).items()})

    def note(self) -> str:
        """How many photos are called by their folders."""
        if not self.ids:
            return ""
        example = next(iter(self.ids.values()))
        return f"{len(self.ids)} photos share a name with others: --coco calls them by their folders too, such as {example}"

    def rows(self, photo: Path, caption: Caption) -> list[bytes]:
        """One object."""
        return [_json({"image_id": self.key(photo), "caption": str(caption)})]

    def key(self, photo: Path) -> object:
        """The photo's id."""
        return self.ids[photo] if photo in self.ids else image_id(photo.name)

    def row_keys(self, file: BinaryIO) -> Iterator[tuple[object, int]]:
        """The field `image_id`."""
        return ((row["image_id"], end) for row, end in _json_rows(file))


class ResultsFormat(CaptionFormat):
    """COCO's result format for the photos of a data set, which has ids for them.

    Args:
        ids: of each photo; several where the data set lists it several times
    """

    def __init__(self, ids: Mapping[Path, Sequence[PhotoId]]) -> None:
        self.ids = ids
        self.photos = {photo_id: photo for photo, of_photo in ids.items() for photo_id in of_photo}

    def rows(self, photo: Path, caption: Caption) -> list[bytes]:
        """One object for each id."""
        return [_json({"image_id": photo_id, "caption": str(caption)}) for photo_id in self.ids[photo]]

    def key(self, photo: Path) -> object:
        """The path as it is."""
        return photo

    def row_keys(self, file: BinaryIO) -> Iterator[tuple[object, int]]:
        """The photo of the field `image_id`."""
        return ((self.photos.get(row["image_id"]), end) for row, end in _json_rows(file))


class CsvFormat(CaptionFormat):
    """File, caption, score and rank; what UTF-8 cannot hold is escaped."""

    layout = Layout(head=",".join(CSV_HEADER).encode() + b"\r\n", first=b"", separator=b"", tail=b"")

    def rows(self, photo: Path, caption: Caption) -> list[bytes]:
        """One line for each caption."""
        return [_csv_row((photo, ranked, f"{ranked.score:.4f}", rank)) for rank, ranked in _ranked(caption)]

    def key(self, photo: Path) -> object:
        """The path, escaped as in the file."""
        return _encode(str(photo)).decode()

    def row_keys(self, file: BinaryIO) -> Iterator[tuple[object, int]]:
        """The first column; a row may have line breaks within quotes, and the last one may be torn."""
        lines: list[bytes] = []
        quotes, end = 0, 0
        for line in file:
            lines.append(line)
            quotes += line.count(b'"')
            if quotes % 2 or not line.endswith(b"\n"):
                continue
            record = b"".join(lines)
            end += len(record)
            fields = next(csv.reader([record.decode()]))
            if end == len(record):
                if tuple(fields) != CSV_HEADER:
                    raise ValueError("another header")
            else:
                _, _, score, rank = fields
                float(score), int(rank)
                yield fields[0], end
            lines.clear()
            quotes = 0


FORMATS: dict[str, type[CaptionFormat]] = {"json": JsonFormat, "csv": CsvFormat, "coco": CocoFormat}


def _details(caption: Caption) -> dict[str, Any]:
    return {
        "caption": str(caption),
        "words": caption.words,
        "score": caption.score if math.isfinite(caption.score) else None,  # JSON has no infinity
        "grid_shape": caption.grid_shape,
        "crop_box": caption.crop_box,
        "grid_box": caption.grid_box,
        "alphas": [[round(weight, 5) for weight in alpha] for alpha in caption.alphas.tolist()],
    }


def _ranked(caption: Caption) -> Iterator[tuple[int, Caption]]:
    """Every caption of a photo with its rank."""
    return enumerate((caption, *caption.alternatives), 1)


def _json(row: dict[str, Any]) -> bytes:
    # Half of a surrogate pair, which stands for a byte that is no UTF-8, becomes \udcXX: that is its escape in JSON as well.
    return _encode(json.dumps(row, ensure_ascii=False))


def _csv_row(fields: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(fields)
    return _encode(text.getvalue())


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _json_rows(file: BinaryIO) -> Iterator[tuple[dict[str, Any], int]]:
    """Objects of a list with one of them on each line, and where they end; the last one may be torn."""
    end = len(first := file.readline())
    if first != b"[\n":
        raise ValueError("not a row a line")
    for line in file:
        content = line.rstrip(b"\n").removesuffix(b",")
        if content == b"]":
            return
        try:
            row = json.loads(content)
        except ValueError:
            if file.readline():
                raise
            return  # torn
        yield row, end + len(content)
        end += len(line)
