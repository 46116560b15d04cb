"""The page that leads to the files of several photos."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from showattend.visualize.viewer.page import data_url, render_page

THUMBNAIL = 360  # pixels of the longer side


class IndexEntry(NamedTuple):
    """A photo: the file beside the index that it leads to, or "", the photo's name, its caption, and a small copy as a data URL."""

    file: str
    name: str
    caption: str
    thumbnail: str

    @property
    def link(self) -> str:
        """The file's relative address."""
        return "./" + quote(self.file.encode("utf-8", "surrogateescape"))

    @classmethod
    def of(cls, photo: Image.Image, file: str, name: str, caption: str) -> "IndexEntry":
        """The entry of an open photo."""
        return cls(file, name, caption, data_url(photo, THUMBNAIL))


def index_page(title: str, entries: Sequence[IndexEntry], problems: Sequence[str] = ()) -> str:
    """The page.

    Args:
        problems: photos that could not be read, a line each
    """
    return render_page("index.html.j2", ("index.css",), ("frame.js",), title=title, entries=entries, problems=problems)
