"""`showattend caption`: a line for each photo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.from_args import captioner_from_args, generation_config_from_args
from showattend.cli.options import Commands, add_ensemble_options, add_generation_options, add_speed_options
from showattend.files import check_writable

if TYPE_CHECKING:
    from showattend.cli.results import PhotoCaptions
    from showattend.inference import Caption


def add_parser(commands: Commands) -> None:
    """The options of `showattend caption`."""
    caption = commands.add_parser(
        "caption",
        help="caption photos, folders, globs",
        description="Print one line for each photo. A photo that cannot be read is reported and skipped, and the exit status is then 1.",
    )
    caption.add_argument("photos", nargs="+", metavar="PATH", help="photo, folder (searched to the bottom) or glob")
    add_ensemble_options(caption)
    caption.add_argument("--json", type=Path, metavar="FILE", help="write captions with words, scores and alphas' grid as JSON")
    caption.add_argument("--csv", type=Path, metavar="FILE", help="write file, caption and score as CSV")
    caption.add_argument("--coco", type=Path, metavar="FILE", help="write the result format of the COCO captions server")
    add_speed_options(caption)
    add_generation_options(caption)
    caption.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Caption photos, print a line for each, write the files of the options; 1 if a photo could not be read."""
    from tqdm import tqdm

    from showattend.cli.results import write_coco, write_csv, write_json
    from showattend.data.photos import find_photos
    from showattend.inference import Failure

    targets = [path for path in (args.json, args.csv, args.coco) if path]
    for target in targets:
        check_writable(target)
    paths = find_photos(args.photos)
    captioner = captioner_from_args(args)
    config = generation_config_from_args(captioner, args)
    workers = min(args.workers, len(paths) // args.batch_size)
    captioned: PhotoCaptions = []
    failures = 0
    results = captioner.caption_files(paths, config, batch_size=args.batch_size, workers=workers)
    # No progress bar among captions on the same terminal.
    for path, result in tqdm(results, total=len(paths), unit=" photos", disable=sys.stdout.isatty() or len(paths) < 100):
        if isinstance(result, Failure):
            failures += 1
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            captioned.append((path, result))
            _print(path, result)
    for target, write in ((args.json, write_json), (args.csv, write_csv), (args.coco, write_coco)):
        if target:
            write(target, captioned)
    if failures:
        print(f"{failures} of {len(paths)} photos could not be read", file=sys.stderr)
    return 1 if failures else 0


def _print(path: Path, caption: Caption) -> None:
    """One line per caption; with its score where the photo has several."""
    for one in (caption, *caption.alternatives):
        score = f"{one.score:.3f}\t" if caption.alternatives else ""
        print(f"{path}\t{score}{one}", flush=True)
