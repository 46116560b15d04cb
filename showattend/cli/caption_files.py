"""All files of captions that one run writes, together."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from showattend.cli.growing_file import GrowingFile, partial_path
from showattend.cli.stopping import in_one_line
from showattend.cli.text_files import TextFiles
from showattend.console import print_error
from showattend.data.photo_index import PhotoIndex
from showattend.data.photos import image_id
from showattend.errors import InputError
from showattend.files import is_written_through
from showattend.inference import Caption
from showattend.inference.caption_formats import FORMATS, CaptionFormat, Entry


class Output(NamedTuple):
    """A file, its format, and the keys of the photos that it holds from an earlier run."""

    file: GrowingFile
    format: CaptionFormat
    done: set[object]


class CaptionFiles:
    """Files of captions that get a photo's rows together, and are finished, or kept as far as they came, together.

    Args:
        targets: the file of each format
        photos: all that will be captioned
        formats: None: those of FORMATS
        texts: write a text file beside each photo too
        resume: go on from those that exist, or from the partial files of a run that was killed

    Raises:
        InputError: a file cannot be written, is given twice, or cannot be resumed.
    """

    def __init__(
        self,
        targets: Mapping[str, Path],
        photos: PhotoIndex | None = None,
        *,
        formats: Mapping[str, CaptionFormat] | None = None,
        texts: bool = False,
        resume: bool = False,
    ) -> None:
        _check_different(targets.values())
        photos = PhotoIndex() if photos is None else photos
        formats = formats or {name: FORMATS[name].of(photos) for name in targets}
        self.outputs = [Output(GrowingFile(path, formats[name].layout), formats[name], set()) for name, path in targets.items()]
        self.texts = TextFiles(photos) if texts else None
        if resume:
            self._resume()
        else:
            for path in targets.values():
                if not is_written_through(path) and partial_path(path).exists():
                    print_error(f"{partial_path(path)} of a run that was killed is written anew: --resume would go on from it")

    def remaining(self, photos: Collection[Path]) -> Collection[Path]:
        """The photos that are not in all of the files yet."""
        if not (self.texts or any(output.done for output in self.outputs)):
            return photos
        return PhotoIndex(photo for photo in photos if not self._is_done(photo))

    def _is_done(self, photo: Path) -> bool:
        in_texts = self.texts is None or self.texts.has(photo)
        return in_texts and all(output.format.key(photo) in output.done for output in self.outputs)

    def notes(self) -> list[str]:
        """Lines about what photos are called, and about files that stay as they are."""
        kept = f"{self.texts.kept} photos have a text file beside them, which is kept" if self.texts and self.texts.kept else ""
        return [note for note in (*(output.format.note() for output in self.outputs), kept) if note]

    def names(self) -> str:
        """The files' names, for messages."""
        return " and ".join([*(str(output.file.path) for output in self.outputs), *(["text files beside them"] if self.texts else [])])

    def add(self, photo: Path, caption: Caption) -> None:
        """Write a photo's rows to each file.

        Raises:
            InputError: one cannot be written.
        """
        for output in self.outputs:
            output.file.add(output.format.rows(photo, caption))
        if self.texts:
            self.texts.add(photo, caption)

    def __enter__(self) -> CaptionFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            try:
                for output in self.outputs:
                    output.file.finish()
            except InputError as failed:
                error = failed
        if error is None:
            return
        kept = "; ".join(filter(None, (output.file.keep() for output in self.outputs)))
        if not kept:
            if kind is None:
                raise error
            return
        if not any(output.file.through for output in self.outputs):
            kept += ": --resume goes on from there"
        if isinstance(error, KeyboardInterrupt):
            error.args = (kept,)
        elif (message := in_one_line(error)) is not None:
            raise InputError(f"{message or 'whatever reads standard output has ended'}; {kept}") from error
        else:
            print_error(kept)

    def _resume(self) -> None:
        """Go on from the photos that all files hold in the same order from their first one on."""
        sources = [_source(output.file) for output in self.outputs]
        if not all(sources):
            return
        last: list[Entry] = []
        streams = [output.format.entries(source) for output, source in zip(self.outputs, sources, strict=True) if source]
        count = 0
        for entries in _complete(zip(*streams, strict=False)):
            names = {_photo_id(entry.key) for entry in entries}
            if len(names) > 1:
                break
            last = entries
            count += 1
            for output, entry in zip(self.outputs, entries, strict=True):
                output.done.add(entry.key)
        for output, source, entry in zip(self.outputs, sources, last, strict=False):
            assert source is not None
            output.file.resume(source, entry.end, count)


def _check_different(paths: Iterable[Path]) -> None:
    real = [Path(os.path.realpath(path)) for path in paths if not is_written_through(path)]
    if len(set(real)) < len(real):
        raise InputError(f"cannot write two formats to one file, {real[0]}: give each its own")


def _source(file: GrowingFile) -> Path | None:
    """The file to continue: the partial file of a run that was killed, else the target."""
    if file.through:
        return None
    return next((path for path in (file.partial, file.path) if path.is_file() and path.stat().st_size), None)


def _photo_id(key: object) -> object:
    """The one key of a photo for all formats."""
    name = key if isinstance(key, int) else image_id(Path(str(key)).name)
    return name.encode("utf-8", "backslashreplace") if isinstance(name, str) else name


def _complete(groups: Iterator[tuple[Entry, ...]]) -> Iterator[list[Entry]]:
    """All photos; not the last one if it has fewer rows than others have, for its rows may be torn."""
    previous: list[Entry] = []
    most = 0
    for group in groups:
        if previous:
            yield previous
        previous = list(group)
        most = max(most, max(entry.rows for entry in group))
    if previous and max(entry.rows for entry in previous) == most:
        yield previous
