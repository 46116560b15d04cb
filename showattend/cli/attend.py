"""`showattend attend`: where the model looked for each word of a photo's caption, as a page, a figure, an animation or data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.drawing import (
    OUT_HELP,
    add_drawing_options,
    check_number_of_captions,
    check_out_file,
    check_style,
    drawing_options_from_args,
    files_in_folder,
)
from showattend.cli.from_args import captioners_by_name, generation_config_from_args, inputs_from_args, photos_from_args
from showattend.cli.options import Commands, add_ensemble_options, add_generation_options, add_photo_arguments
from showattend.console import print_error, print_line
from showattend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from showattend.generation_config import GenerationConfig
    from showattend.inference import Captioner
    from showattend.visualize import DrawingOptions, IndexEntry

    Models = Mapping[str, tuple[Captioner, GenerationConfig]]


def add_parser(commands: Commands) -> None:
    """The options of `showattend attend`."""
    attend = commands.add_parser(
        "attend",
        help="show where the model looked for each word of a photo's caption",
        description="Caption photos and write where the model looked for each word. Several photos are written to a folder with an "
        "index page; one that cannot be read is reported and skipped, and the exit status is then 1.",
    )
    add_photo_arguments(attend)
    add_ensemble_options(attend)
    attend.add_argument(
        "--models", type=Path, nargs="+", default=[], metavar="DIR", help="more models, each shown beside or below the first"
    )
    attend.add_argument("--out", type=Path, required=True, metavar="PATH", help=f"{OUT_HELP}; for several photos a folder")
    attend.add_argument("--format", metavar="ENDING", help="ending of the files in a folder (default: .html)")
    add_drawing_options(attend)
    add_generation_options(attend)
    attend.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Caption photos and write their attention maps; 1 if a photo could not be read."""
    options = drawing_options_from_args(args)
    ending = args.format or ".html"
    ending = ending if ending.startswith(".") else f".{ending}"
    photos = list(photos_from_args(args))
    single = len(photos) == 1 and not args.format and not args.out.is_dir() and not any(Path(path).is_dir() for path in args.photos)
    check_number_of_captions(args.num_captions or 1, args.out.suffix if single else ending)
    if single:
        return _run_single(photos[0], args, options)
    files = files_in_folder(args.out, photos, ending)
    models = _models_from_args(args, options)
    entries, problems = [], []
    for photo, file in zip(photos, files, strict=True):
        try:
            entries.append(_write_one(photo, file, models, args.gates, options))
            print_line(photo, entries[-1].caption)
        except InputError as error:
            problems.append(f"skipped {error}")
            print_error(problems[-1])
    return _write_index(args.out, entries, problems)


def _run_single(photo: Path, args: argparse.Namespace, options: DrawingOptions) -> int:
    from showattend.data.images import open_photo

    check_out_file(args.out, inputs_from_args(args, [photo]))
    open_photo(photo)  # before the models are loaded: a broken photo is reported at once
    entry = _write_one(photo, args.out, _models_from_args(args, options), args.gates, options)
    print_line(entry.caption)
    print_line(args.out)
    return 0


def _models_from_args(args: argparse.Namespace, options: DrawingOptions) -> Models:
    """Captioners and their generation settings: the model or ensemble of the command line, then each of --models."""
    if not (args.model or args.ensemble) and args.models:
        args.model, *args.models = args.models
    captioners = captioners_by_name([args.model, *args.models], args)
    check_style(options, captioners)
    return {name if args.models else "": (one, generation_config_from_args(one, args)) for name, one in captioners.items()}


def _write_one(photo: Path, file: Path, models: Models, gates: bool, options: DrawingOptions) -> IndexEntry:
    """Caption one photo with each model and write the file.

    Raises:
        InputError: the photo cannot be read, a chosen word does not exist, or the file cannot be written.
    """
    from showattend.data.images import open_photo
    from showattend.visualize import IndexEntry, write_attention

    image, _ = open_photo(photo)
    # The file and not the open picture, as `showattend caption` does: both give the same caption then.
    captions = {name: captioner.caption(photo, config, details=True, gates=gates) for name, (captioner, config) in models.items()}
    try:
        write_attention(file, image, photo.name, captions, options)
    except InputError as error:
        raise InputError(f"{photo}: {error}") from error
    return IndexEntry.of(image, file.name, photo.name, str(next(iter(captions.values()))))


def _write_index(folder: Path, entries: list[IndexEntry], problems: list[str]) -> int:
    from showattend.files import write_text
    from showattend.visualize import index_page

    index = folder / "index.html"
    write_text(index, index_page("1 photo" if len(entries) == 1 else f"{len(entries)} photos", entries, problems))
    print_line(index)
    if problems:
        print_error(f"{len(problems)} of {len(entries) + len(problems)} photos could not be drawn")
    return 1 if problems else 0
