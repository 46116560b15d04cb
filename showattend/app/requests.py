"""What the page's buttons do, without the page: from a visitor's files and settings to HTML, numbers and files."""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from showattend.app.models import ModelSet
from showattend.data.images import open_photo
from showattend.data.photo_index import PhotoIndex
from showattend.errors import InputError
from showattend.files import write_text
from showattend.inference import Caption, Failure
from showattend.inference.caption_formats import FORMATS
from showattend.visualize import DrawingOptions, IndexEntry, frame, index_page, viewer_data, viewer_frame

MAX_TEXT = 400  # characters of a caption to score
MAX_FILES = 500  # photos in one request; the page that shows them grows with them


class Answer(NamedTuple):
    """A note as HTML, the viewer as HTML, and the numbers that it shows as plain values."""

    note: str
    viewer: str
    numbers: dict[str, Any]


class BatchAnswer(NamedTuple):
    """A note and a page of captioned photos as HTML, and the files that hold the captions."""

    note: str
    gallery: str
    files: list[str]


class Requests:
    """The requests of the page.

    Args:
        drawing: how maps are drawn at first; the viewer has buttons for other styles
        folder: where files for visitors are written
    """

    def __init__(self, models: ModelSet, drawing: DrawingOptions, folder: Path) -> None:
        self.models, self.drawing, self.folder = models, drawing, folder

    def caption(self, photo: Path, options: Mapping[str, Any], names: Sequence[str], gates: bool) -> Answer:
        """Caption a photo.

        Raises:
            InputError: see `ModelSet.caption`.
        """
        return self._answer(photo, self.models.caption(photo, names, options, gates=gates), "")

    def score(self, photo: Path, text: str, names: Sequence[str], gates: bool) -> Answer:
        """Where the models would look if they said a visitor's caption.

        Raises:
            InputError: see `ModelSet.score`.
        """
        if len(text) > MAX_TEXT:  # the box holds no more, but a program may ask too
            raise InputError(f"a caption of {len(text)} characters: give at most {MAX_TEXT}")
        scores = self.models.score(photo, text, names, gates=gates)
        lines = [_describe_score(name if len(scores) > 1 else "", score.caption, score.unknown) for name, score in scores.items()]
        return self._answer(photo, {name: score.caption for name, score in scores.items()}, _as_note(lines))

    def caption_files(self, photos: Sequence[Path], options: Mapping[str, Any], advance: Callable[[int, str], None]) -> BatchAnswer:
        """Caption many photos and write captions.csv, captions.json and gallery.html.

        Args:
            advance: is told how many photos are done, and the name of the last one

        Raises:
            InputError: there are too many photos, or the options contradict each other.
        """
        if len(photos) > MAX_FILES:
            raise InputError(
                f"{len(photos)} photos at once: give at most {MAX_FILES}, or use the command `showattend caption`, which takes any number"
            )
        entries, captions, problems = [], [], []
        for done, (photo, result) in enumerate(self.models.caption_files(photos, options), 1):
            if isinstance(result, Failure):
                problems.append(result.reason.replace(str(photo), photo.name))
            else:
                captions.append((Path(photo.name), result))
                entries.append(IndexEntry.of(open_photo(photo)[0], "", photo.name, str(result)))
            advance(done, photo.name)
        page = index_page(_count(len(entries)), entries, problems)
        by = f" of the model {self.models.names[0]}" if len(self.models.names) > 1 else ""
        found = f"The captions{by} are in the files below." if captions else "No photo could be read."
        return BatchAnswer(_as_note([found, *problems]), frame(page, "captioned photos"), self._write(captions, page))

    def _answer(self, photo: Path, captions: Mapping[str, Caption], note: str) -> Answer:
        image, _ = open_photo(photo)
        shown = captions if len(captions) > 1 else {"": next(iter(captions.values()))}
        data = viewer_data(photo.name, image.size, captions, self.drawing)
        numbers = {key: data[key] for key in ("photo", "models")}
        return Answer(note, viewer_frame(image, photo.name, shown, self.drawing), numbers)

    def _write(self, captions: Sequence[tuple[Path, Caption]], gallery: str) -> list[str]:
        folder = Path(mkdtemp(dir=self.folder))
        photos = PhotoIndex(photo for photo, _ in captions)
        for name in ("csv", "json"):
            (folder / f"captions.{name}").write_bytes(FORMATS[name].of(photos).document(captions))
        write_text(folder / "gallery.html", gallery)
        return [str(folder / name) for name in ("captions.csv", "captions.json", "gallery.html")]


def _as_note(lines: Sequence[str]) -> str:
    """Lines of text as HTML that a screen reader announces."""
    return f'<p role="status">{"<br>".join(map(html.escape, lines))}</p>'


def _describe_score(name: str, caption: Caption, unknown: Sequence[str]) -> str:
    words = len(caption.words) + 1
    start = f"{name}: " if name else ""
    line = f"{start}log-probability {caption.score:.2f}, {caption.score / words:.2f} per word, the end counted."
    return line + (f" Not in the vocabulary, and read as <unk>: {', '.join(unknown)}." if unknown else "")


def _count(photos: int) -> str:
    return "1 photo" if photos == 1 else f"{photos} photos"
