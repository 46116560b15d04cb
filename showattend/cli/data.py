"""`showattend data`: what a folder holds as a data set, before anything is trained on it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.cli.options import Commands
from showattend.console import print_line
from showattend.files import check_writable, write_text

if TYPE_CHECKING:
    from showattend.data.captions import CaptionedPhotos
    from showattend.data.summary import CaptionRow, DataSummary, Duplicate, SplitSummary

MAX_SHOWN = 10  # duplicates and unreadable photos that are printed; --json has all of them


def add_parser(commands: Commands) -> None:
    """The options of `showattend data`."""
    data = commands.add_parser(
        "data",
        help="what a folder holds as a data set: layout, splits, what is left out, duplicates",
        description="Print which layout was recognised, the photos, captions and words of each split, what is left out and why, the "
        "longest and shortest captions, ten random ones, and photos with the same bytes. The exit status is 1 if a photo cannot be read.",
    )
    data.add_argument("folder", type=Path, metavar="DIR", help="folder of the data set")
    data.add_argument("--layouts", action=_PrintLayouts, help="list the layouts that are recognised, with examples, and nothing else")
    data.add_argument("--data.layout", "--layout", dest="layout", default="auto", help="auto, or the layout's name (default: %(default)s)")
    data.add_argument(
        "--data.tokenizer",
        "--tokenizer",
        dest="tokenizer",
        default="auto",
        help="auto, nltk, unicode or char; subwords (bpe) are learnt in training only (default: %(default)s)",
    )
    data.add_argument("--deep", action="store_true", help="open every photo too, and name those that cannot be read")
    data.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    data.add_argument("--seed", type=int, default=0, help="another seed draws other random captions (default: %(default)s)")
    data.set_defaults(run=run)


class _PrintLayouts(argparse.Action):
    """An option that needs no folder, as --help."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from showattend.data.readers import CAPTION_READERS, FOLDER_ORDER

        for name in FOLDER_ORDER:
            print(f"{name:12}  {CAPTION_READERS.find(name).example}")
        parser.exit()


def run(args: argparse.Namespace) -> int:
    """Print the summary of a data set; 1 if a photo was opened and cannot be read."""
    from showattend.data.captions import data_files, read_captions
    from showattend.data.summary import summarize
    from showattend.vocabulary import choose_tokenizer, find_tokenizer

    if args.json:
        check_writable(args.json, data_files(args.folder, args.layout))
    data = read_captions(args.folder, args.layout)
    captions = [caption for photos in data.splits.values() for photo in photos for caption in photo.captions]
    tokenizer = choose_tokenizer(captions).tokenizer if args.tokenizer == "auto" else args.tokenizer
    summary = summarize(data, args.folder, find_tokenizer(tokenizer), seed=args.seed)
    summary.tokenizer = tokenizer
    if args.deep:
        summary.unreadable = _unreadable(data)
    for line in _lines(summary):
        if line.startswith("\n"):
            print()
        print_line(line.removeprefix("\n"))  # captions and names are a stranger's
    if args.json:
        write_text(args.json, json.dumps(_plain(summary), ensure_ascii=False, indent=2) + "\n")
    return 1 if summary.unreadable else 0


def _unreadable(data: CaptionedPhotos) -> list[str]:
    """The reasons of all photos that cannot be read."""
    from tqdm import tqdm

    from showattend.data.summary import find_unreadable

    photos = [photo for split in data.splits.values() for photo in split]
    reasons = tqdm(find_unreadable(photos), "Opening", len(photos), unit=" photos", disable=len(photos) < 100 or not sys.stderr.isatty())
    return [reason for reason in reasons if reason]


def _plain(summary: DataSummary) -> dict[str, object]:
    """The summary as JSON holds it."""
    rows = {name: [row._asdict() for row in getattr(summary, name)] for name in ("longest", "shortest", "random")}
    splits = {name: split._asdict() for name, split in summary.splits.items()}
    duplicates = [{**duplicate._asdict(), "leaks": duplicate.leaks} for duplicate in summary.duplicates]
    return {**asdict(summary), "splits": splits, **rows, "duplicates": duplicates}


def _lines(summary: DataSummary) -> Iterator[str]:
    """The summary as it is printed."""
    lists = f", listed in {', '.join(summary.lists[:4])}{' …' if len(summary.lists) > 4 else ''}" if summary.lists else ""
    yield f"{summary.root} has the layout {summary.layout}{lists}; words are split by the tokenizer {summary.tokenizer}"
    yield f"\n{'split':8}{'photos':>10}{'captions':>10}{'words':>10}{'different':>11}{'a caption':>11}"
    yield from (_split_line(name, split) for name, split in summary.splits.items())
    yield "\nleft out: " + ("nothing" if not summary.notes else "")
    yield from (f"  {note}" for note in summary.notes)
    for title, rows in (("longest", summary.longest), ("shortest", summary.shortest), ("random", summary.random)):
        yield f"\n{title} captions:"
        yield from map(_row_line, rows)
    yield from _duplicate_lines(summary.duplicates)
    if summary.unreadable is not None:
        yield f"\n{len(summary.unreadable)} photos cannot be read"
        yield from (f"  {reason}" for reason in summary.unreadable[:MAX_SHOWN])


def _split_line(name: str, split: SplitSummary) -> str:
    mean = f"{split.words / split.captions:.1f} words" if split.captions else ""
    return f"{name:8}{split.photos:10,}{split.captions:10,}{split.words:10,}{split.vocabulary:11,}{mean:>11}"


def _row_line(row: CaptionRow) -> str:
    return f"  {row.split:6}{row.words:4} words  {Path(row.file).name}  {row.caption}"


def _duplicate_lines(duplicates: list[Duplicate]) -> Iterator[str]:
    leaks = sum(duplicate.leaks for duplicate in duplicates)
    yield f"\n{len(duplicates)} groups of photos with the same bytes, {leaks} of them in several splits"
    if leaks:
        yield "  leakage: scores on photos that were trained on mean little; take these out of one of the splits"
    for duplicate in duplicates[:MAX_SHOWN]:
        yield "  " + " = ".join(f"{file} ({split})" for file, split in zip(duplicate.files, duplicate.splits, strict=True))
