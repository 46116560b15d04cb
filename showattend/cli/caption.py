"""`showattend caption`: a line for each photo, and files of captions that grow while the work goes on."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.from_args import (
    captioner_from_args,
    exported_captioner_from_args,
    generation_config_from_args,
    inputs_from_args,
    photos_from_args,
)
from showattend.cli.options import (
    Commands,
    add_ensemble_options,
    add_generation_options,
    add_photo_arguments,
    add_speed_options,
    part_of_parts,
)
from showattend.console import print_error, print_line
from showattend.errors import InputError
from showattend.files import check_writable

if TYPE_CHECKING:
    from showattend.cli.caption_files import CaptionFiles
    from showattend.generation_config import GenerationConfig
    from showattend.inference import Caption, Captioner
    from showattend.runtime import ExportedCaptioner

DESCRIPTION = """\
Print one line for each photo. A photo that cannot be read is reported and skipped, and the exit status is then 1. Files grow while the
work goes on, as FILE.partial: whatever ends it, what was found until then is kept, and the same command with --resume goes on from there.
"""


def add_parser(commands: Commands) -> None:
    """The options of `showattend caption`."""
    caption = commands.add_parser("caption", help="caption photos, folders, globs", description=DESCRIPTION)
    add_photo_arguments(caption)
    add_ensemble_options(caption)
    caption.add_argument(
        "--backend",
        choices=("torch", "onnxruntime"),
        default="torch",
        help="what runs the network; onnxruntime takes a folder of showattend export, and no torch (default: %(default)s)",
    )
    caption.add_argument("--json", type=Path, metavar="FILE", help="write captions with words, scores and alphas' grid as JSON")
    caption.add_argument("--csv", type=Path, metavar="FILE", help="write file, caption and score as CSV")
    caption.add_argument("--coco", type=Path, metavar="FILE", help="write the result format of the COCO captions server")
    caption.add_argument(
        "--txt", action="store_true", help="write each caption into a text file beside its photo, NAME.txt; one that exists is kept"
    )
    caption.add_argument(
        "--resume",
        action="store_true",
        help="go on from the files of --json, --csv, --coco: photos that are in all of them are not captioned again",
    )
    caption.add_argument(
        "--shard",
        type=part_of_parts,
        default=(1, 1),
        metavar="I/N",
        help="caption the I-th of N parts of the photos: the same command with 1/8 … 8/8 on eight machines, each with files of its own",
    )
    add_speed_options(caption)
    add_generation_options(caption)
    caption.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Caption photos, print a line for each, write the files of the options; 1 if a photo could not be read."""
    from showattend.cli.caption_files import CaptionFiles
    from showattend.data.photo_index import PhotoIndex

    targets = {name: path for name in ("json", "csv", "coco") if (path := getattr(args, name))}
    if args.resume and not (targets or args.txt):
        raise InputError("--resume goes on from files: give --csv FILE, --json FILE, --coco FILE or --txt")
    photos = photos_from_args(args)
    for path in targets.values():
        names = {path.name, os.path.basename(os.path.realpath(path))}
        check_writable(path, inputs_from_args(args, (photo for photo in photos if photo.name in names)))
    # What a photo is called in the files depends on all photos, so that files of several parts can be joined.
    files = CaptionFiles(targets, photos, texts=args.txt, resume=args.resume)
    part, parts = args.shard
    paths = photos if parts == 1 else PhotoIndex(islice(photos, part - 1, None, parts))
    for note in files.notes():
        print_error(note)
    with files:
        remaining = files.remaining(paths)
        if len(remaining) < len(paths):
            print_error(f"{len(paths) - len(remaining)} of {len(paths)} photos are in {files.names()} already")
        failures = _caption_photos(remaining, files, args, len(paths)) if remaining else 0
    if failures:
        print_error(f"{failures} of {len(paths)} photos could not be read")
    return 1 if failures else 0


def _caption_photos(paths: Collection[Path], files: CaptionFiles, args: argparse.Namespace, total: int) -> int:
    """Caption photos into the files and onto the screen.

    Args:
        total: photos with those that an earlier run has captioned

    Returns:
        how many could not be read
    """
    from tqdm import tqdm

    from showattend.inference import Failure

    captioner, config = _captioner_and_config(args, total)
    workers = min(args.workers, len(paths) // args.batch_size)
    failures = 0
    results = captioner.caption_files(paths, config, batch_size=args.batch_size, workers=workers)
    # No progress bar among captions on the same terminal.
    for path, result in tqdm(results, total=len(paths), unit=" photos", disable=sys.stdout.isatty() or len(paths) < 100):
        if isinstance(result, Failure):
            failures += 1
            print_error(f"skipped {result.reason}")
        else:
            files.add(path, result)
            _print(path, result)
    return failures


def _captioner_and_config(args: argparse.Namespace, total: int) -> tuple[Captioner | ExportedCaptioner, GenerationConfig]:
    if args.backend == "onnxruntime":
        exported = exported_captioner_from_args(args)
        return exported, generation_config_from_args(exported, args)
    captioner = captioner_from_args(args)
    config = generation_config_from_args(captioner, args)
    captioner.expect(total, config)
    return captioner, config


def _print(path: Path, caption: Caption) -> None:
    """One line per caption; with its score where the photo has several."""
    for one in (caption, *caption.alternatives):
        score = [f"{one.score:.3f}"] if caption.alternatives else []
        print_line(path, *score, one)
