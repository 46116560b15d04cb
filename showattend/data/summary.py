"""Summary of a data set: photos, captions and words of each split, extreme captions, duplicates, photos that cannot be read."""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from showattend.batching import in_batches
from showattend.data.captions import CaptionedPhotos, Photo
from showattend.data.images import BrokenImage, open_photo
from showattend.isolation import run_in_children

EXTREMES = 3  # longest and shortest captions that are shown
ROWS = 10  # random captions that are shown
OPENED_AT_ONCE = 32  # photos in one process

Tokenizer = Callable[[str], list[str]]


class SplitSummary(NamedTuple):
    """Counts of one split: photos, captions, tokens of all captions, and how many of the tokens differ."""

    photos: int
    captions: int
    words: int
    vocabulary: int


class CaptionRow(NamedTuple):
    """One caption of a data set."""

    split: str
    file: str
    caption: str
    words: int


class Duplicate(NamedTuple):
    """Files with the same bytes, and the split of each."""

    files: list[str]
    splits: list[str]

    @property
    def leaks(self) -> bool:
        """Whether a photo that a model is trained on is one that it is tested on."""
        return len(set(self.splits)) > 1


@dataclass
class DataSummary:
    """What a data set holds; `notes` are lines about what was left out."""

    root: str
    layout: str
    lists: list[str]
    splits: dict[str, SplitSummary]
    notes: list[str]
    longest: list[CaptionRow]
    shortest: list[CaptionRow]
    random: list[CaptionRow]
    tokenizer: str = "nltk"
    duplicates: list[Duplicate] = field(default_factory=list)
    unreadable: list[str] | None = None  # None: the photos were not opened


def summarize(data: CaptionedPhotos, root: Path, tokenize: Tokenizer, *, seed: int = 0) -> DataSummary:
    """Count what a data set holds; the photos' bytes are compared, but no photo is opened.

    Args:
        seed: another seed draws other random rows
    """
    rows = list(_rows(data, tokenize))
    by_length = sorted(rows, key=lambda row: row.words)
    return DataSummary(
        root=str(root),
        layout=data.layout,
        lists=[str(path) for path in data.lists],
        splits={split: _split_summary(photos, tokenize) for split, photos in data.splits.items()},
        notes=list(data.notes),
        longest=by_length[::-1][:EXTREMES],
        shortest=by_length[:EXTREMES],
        random=random.Random(seed).sample(rows, min(ROWS, len(rows))),
        duplicates=find_duplicates(data),
    )


def find_duplicates(data: CaptionedPhotos) -> list[Duplicate]:
    """Files with the same bytes, those in several splits first; only files of one size are read."""
    by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for split, photos in data.splits.items():
        for photo in photos:
            by_size[photo.path.stat().st_size].append((split, photo.path))
    by_digest: dict[tuple[int, bytes], list[tuple[str, Path]]] = defaultdict(list)
    for size, files in by_size.items():
        for split, path in files if len(files) > 1 else ():
            by_digest[size, _digest(path)].append((split, path))
    same = [Duplicate([str(path) for _, path in files], [split for split, _ in files]) for files in by_digest.values() if len(files) > 1]
    return sorted(same, key=lambda duplicate: not duplicate.leaks)


def find_unreadable(photos: Iterable[Photo]) -> Iterator[str]:
    """Open every photo, in isolation; for each, the reason why it cannot be read, or an empty text."""
    for batch in in_batches((photo.path for photo in photos), OPENED_AT_ONCE):
        yield from run_in_children(_reasons, batch, lambda path, how: f"{path}: {how}")


def _reasons(paths: Sequence[Path]) -> list[str]:
    return [_reason(path) for path in paths]


def _reason(path: Path) -> str:
    try:
        open_photo(path)
    except BrokenImage as error:
        return str(error)
    return ""


def _rows(data: CaptionedPhotos, tokenize: Tokenizer) -> Iterator[CaptionRow]:
    for split, photos in data.splits.items():
        for photo in photos:
            for caption in photo.captions:
                yield CaptionRow(split, str(photo.path), caption, len(tokenize(caption)))


def _split_summary(photos: list[Photo], tokenize: Tokenizer) -> SplitSummary:
    counts = Counter(token for photo in photos for caption in photo.captions for token in tokenize(caption))
    return SplitSummary(len(photos), sum(len(photo.captions) for photo in photos), counts.total(), len(counts))


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
