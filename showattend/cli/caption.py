"""`showattend caption`: a line for each photo."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from showattend.cli.options import captioner_from_args, search_from_args
from showattend.cli.results import Captioned, write_coco, write_csv, write_json
from showattend.data.photos import find_photos
from showattend.files import check_writable
from showattend.inference import Caption, Failure


def caption(args: argparse.Namespace) -> int:
    """Caption photos, print a line for each, write the files asked for; 1 if a photo could not be read."""
    targets = [path for path in (args.json, args.csv, args.coco) if path]
    for target in targets:
        check_writable(target)
    paths = find_photos(args.photos)
    captioner = captioner_from_args(args)
    search = search_from_args(captioner, args)
    done: Captioned = []
    failures = 0
    results = captioner.caption_files(paths, search, batch_size=args.batch_size, workers=min(args.workers, len(paths) // args.batch_size))
    # A bar would only get in the way of captions on the same screen.
    for path, result in tqdm(results, total=len(paths), unit=" photos", disable=sys.stdout.isatty() or len(paths) < 100):
        if isinstance(result, Failure):
            failures += 1
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            done.append((path, result))
            _print(path, result)
    for target, write in ((args.json, write_json), (args.csv, write_csv), (args.coco, write_coco)):
        if target:
            write(target, done)
    if failures:
        print(f"{failures} of {len(paths)} photos could not be read", file=sys.stderr)
    return 1 if failures else 0


def _print(path: Path, caption: Caption) -> None:
    """One line for a photo; with several captions one for each, and its score."""
    for one in (caption, *caption.alternatives):
        score = f"{one.score:.3f}\t" if caption.alternatives else ""
        print(f"{path}\t{score}{one}", flush=True)
