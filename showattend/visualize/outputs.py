"""Attention maps as files: a page, a figure, an animation or data, by the file's ending."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from showattend.errors import InputError
from showattend.files import atomic_write, write_text
from showattend.inference import Caption
from showattend.visualize.animation import save_animation
from showattend.visualize.attention import captions_figure
from showattend.visualize.figures import FORMATS, save_figure
from showattend.visualize.options import DrawingOptions
from showattend.visualize.viewer import viewer_data, viewer_page

Write = Callable[[Path, Image.Image, str, Mapping[str, Caption], DrawingOptions], None]


def check_ending(ending: str) -> None:
    """Refuse an ending before the work and not after it.

    Raises:
        InputError: nothing is written with this ending.
    """
    if ending.lower() not in WRITERS:
        raise InputError(f"cannot write attention maps as '{ending or 'a file without an ending'}': end its name with one of {ENDINGS}")


def write_attention(path: Path, photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    """Write one photo's captions and attention maps to a file that is whole or not there.

    Args:
        photo: upright, RGB
        name: of the photo
        captions: by the name of their model

    Raises:
        InputError: the ending is not known, a chosen word does not exist, or the file cannot be written.
    """
    check_ending(path.suffix)
    WRITERS[path.suffix.lower()](path, photo, name, captions, options)


def _write_page(path: Path, photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    write_text(path, viewer_page(photo, name, captions, options))


def _write_json(path: Path, photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    data = viewer_data(name, photo.size, captions, options)
    write_text(path, json.dumps({key: data[key] for key in ("photo", "models")}, ensure_ascii=False) + "\n")


def _write_figure(path: Path, photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    save_figure(captions_figure(photo, captions, options), path)


def _write_animation(path: Path, photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    with atomic_write(path) as temporary:
        save_animation(temporary, photo, captions, options)


WRITERS: dict[str, Write] = {
    ".html": _write_page,
    **dict.fromkeys(FORMATS, _write_figure),
    **dict.fromkeys((".gif", ".webp"), _write_animation),
    ".json": _write_json,
}
ENDINGS = ", ".join(WRITERS)
