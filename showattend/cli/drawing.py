"""Options of the commands that draw attention maps, and where the files of several photos go; heavy imports happen inside."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.cli.options import whole_number
from showattend.errors import InputError
from showattend.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from showattend.inference import Captioner
    from showattend.visualize import DrawingOptions

OUT_HELP = (
    "what to write, by its ending: .html, the page in which words can be touched; .png, .jpg, .pdf or .svg, a figure; "
    ".gif or .webp, the caption types itself; .json, the numbers"
)

SEVERAL = (".html", ".json")  # endings of files that hold several captions


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """The fields of `visualize.DrawingOptions`, and what else a page can show."""
    drawing = add_style_options(parser)
    drawing.add_argument("--columns", type=whole_number(1), metavar="N", help="panels of a figure side by side (default: a page's width)")
    drawing.add_argument("--words", type=_word_numbers, metavar="N,N", help="draw only these words, numbered from 1, such as 3,5,9")
    drawing.add_argument("--gates", action="store_true", help="on a page, the cell's gates at each word as well")


def add_style_options(parser: argparse.ArgumentParser) -> Any:
    """How a map is drawn over the photo; the group of options is returned."""
    drawing = parser.add_argument_group("drawing")
    drawing.add_argument("--style", metavar="NAME", help="spotlight, heat, contour or boxes (default: spotlight)")
    drawing.add_argument("--colormap", metavar="NAME", help="colours of the style heat, any name of matplotlib's (default: inferno)")
    drawing.add_argument(
        "--upsample", metavar="NAME", help="from locations to pixels: bicubic, gaussian, or none for flat cells (default: bicubic)"
    )
    return drawing


def drawing_options_from_args(args: argparse.Namespace) -> DrawingOptions:
    """The drawing options of the command line.

    Raises:
        InputError: see `DrawingOptions`.
    """
    from showattend.visualize import DrawingOptions

    names = ("style", "colormap", "upsample", "columns", "words")
    return DrawingOptions(**{name: value for name in names if (value := getattr(args, name, None)) is not None})


def check_style(options: DrawingOptions, captioners: Mapping[str, Captioner]) -> None:
    """Refuse a style that does not fit the attention of a model.

    Raises:
        InputError: contour lines, which show how a weight falls off, of hard attention that takes one location.
    """
    if options.style == "contour" and any(captioner.takes_one_location for captioner in captioners.values()):
        raise InputError(
            "contour lines do not fit hard attention that takes one location at each word: give --style spotlight, heat or boxes, "
            "or --attention-mode expected"
        )


def _word_numbers(text: str) -> tuple[int, ...]:
    parse = whole_number(1)
    return tuple(parse(number.strip()) for number in text.split(","))


def check_number_of_captions(count: int, ending: str) -> None:
    """Refuse several captions for a file of an ending that shows one.

    Raises:
        InputError: so it is.
    """
    if count > 1 and ending.lower() not in SEVERAL:
        raise InputError(f"a file ending with {ending} shows one caption: give one, or end its name with .html or .json")


def check_out_file(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse a file name before the work and not after it.

    Args:
        inputs: what the command reads

    Raises:
        InputError: the ending is unknown, or the file cannot be written or is an input.
    """
    from showattend.visualize import check_ending

    check_ending(out.suffix)
    check_writable(out, inputs)


def files_in_folder(folder: Path, photos: Sequence[Path], ending: str) -> list[Path]:
    """A file for each photo, named after it; of two photos with one name the second gets a number, and so does what would replace a photo.

    Raises:
        InputError: the ending is unknown, or the folder is a file or cannot be written to.
    """
    from showattend.visualize import ENDINGS, check_ending

    check_ending(ending)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file, and there are several photos: give the name of a folder")
    if not folder.is_dir() and folder.suffix.lower() in ENDINGS.split(", "):
        why = "there are several photos" if len(photos) > 1 else "--format and folders of photos are for a folder of files"
        raise InputError(f"--out {folder} is one file, and {why}: give a folder, and --format {folder.suffix}")
    check_writable(folder / "index.html")
    taken, files = {"index"}, []
    originals = {os.path.realpath(photo) for photo in photos}
    for photo in photos:
        stem, number = photo.stem, 2
        while stem.lower() in taken or os.path.realpath(folder / f"{stem}{ending}") in originals:
            stem, number = f"{photo.stem}-{number}", number + 1
        taken.add(stem.lower())
        files.append(folder / f"{stem}{ending}")
    return files
