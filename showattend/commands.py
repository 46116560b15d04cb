"""What the commands `caption`, `attend` and `evaluate` do, on parsed arguments."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from showattend.data.captions import image_id, read_captions
from showattend.data.transforms import open_photo
from showattend.decoding import Search
from showattend.errors import InputError
from showattend.files import check_writable, replacing
from showattend.inference import Caption, Captioner, Failure, find_photos
from showattend.metrics import bleu
from showattend.vocabulary import tokenize

Captioned = list[tuple[Path, Caption]]


def caption(parsed: argparse.Namespace) -> int:
    """Caption photos, print a line for each, write the files asked for; 1 if a photo could not be read."""
    targets = [path for path in (parsed.json, parsed.csv, parsed.coco) if path]
    for target in targets:
        check_writable(target)
    paths = find_photos(parsed.photos)
    captioner = Captioner.from_pretrained(parsed.model)
    search = chosen_search(captioner.model.search, parsed)
    done: Captioned = []
    failures = 0
    results = captioner.caption_files(
        paths, search, batch_size=parsed.batch_size, workers=min(parsed.workers, len(paths) // parsed.batch_size)
    )
    # A bar would only get in the way of captions on the same screen.
    for path, result in tqdm(results, total=len(paths), unit=" photos", disable=sys.stdout.isatty() or len(paths) < 100):
        if isinstance(result, Failure):
            failures += 1
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            done.append((path, result))
            print(f"{path}\t{result}", flush=True)
    for target, write in ((parsed.json, _write_json), (parsed.csv, _write_csv), (parsed.coco, _write_coco)):
        if target:
            write(target, done)
    if failures:
        print(f"{failures} of {len(paths)} photos could not be read", file=sys.stderr)
    return 1 if failures else 0


def attend(parsed: argparse.Namespace) -> int:
    """Draw where the model looked for each word of one photo's caption."""
    from showattend.visualize import attention_figure, check_format

    check_format(parsed.out)
    check_writable(parsed.out)
    photo, _ = open_photo(parsed.photo)
    captioner = Captioner.from_pretrained(parsed.model)
    # From the file, as `caption` does: a large JPEG opened whole would give slightly other numbers.
    found = captioner.caption(parsed.photo, chosen_search(captioner.model.search, parsed))
    attention_figure(photo, found, parsed.out)
    print(f"{found}\n{parsed.out}")
    return 0


def evaluate(parsed: argparse.Namespace) -> int:
    """Score a model on a split of a data set; results are on disk before any score is computed."""
    out = parsed.out
    if out:
        check_writable(out / "results.json")
    data = read_captions(parsed.root, parsed.layout)
    photos = data.split(parsed.split)
    captioner = Captioner.from_pretrained(parsed.model)
    search = chosen_search(captioner.model.search, parsed)
    for note in data.notes:
        print(note, file=sys.stderr)
    results = captioner.caption_files([photo.path for photo in photos], search, batch_size=parsed.batch_size, workers=parsed.workers)
    captions: dict[int | str, list[str]] = {}
    for photo, (_, result) in zip(photos, tqdm(results, desc="Captioning", total=len(photos), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            captions[photo.id] = result.words
    if not captions:
        raise InputError(f"none of the {len(photos)} photos of the split '{parsed.split}' can be read")
    if out:
        _write_text(out / "results.json", _results(captions.items()))
    references = {photo.id: [tokenize(text) for text in photo.captions] for photo in photos if photo.id in captions}
    metrics = bleu(captions, references)
    if out:
        _write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _print_scores(metrics, parsed, search, len(captions), sum(map(len, references.values())))
    return 0 if len(captions) == len(photos) else 1


def chosen_search(default: Search, parsed: argparse.Namespace) -> Search:
    """The model's way to search, with what the command line says otherwise."""
    chosen = {name: getattr(parsed, name) for name in ("beam", "max_length", "length_penalty")}
    return replace(default, **{name: value for name, value in chosen.items() if value is not None})


def _print_scores(metrics: dict[str, float], parsed: argparse.Namespace, search: Search, photos: int, references: int) -> None:
    print(f"\n{parsed.model} on {parsed.root}, split {parsed.split}")
    print("\n".join(f"  {name.replace('bleu', 'BLEU-'):8}{value:8.4f}" for name, value in metrics.items()))
    print(
        f"  {photos} photos, {references} references; beam {search.beam}, length penalty {search.length_penalty:g}; "
        f"nltk Treebank tokens, lower case, no punctuation; closest reference length; scale 0 to 1"
    )


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _results(captions: Iterable[tuple[int | str, Sequence[str]]]) -> str:
    """COCO's result format: a list of image_id and caption."""
    return json.dumps([{"image_id": i, "caption": " ".join(words)} for i, words in captions], ensure_ascii=False, indent=0) + "\n"


def _write_coco(path: Path, done: Captioned) -> None:
    _write_text(path, _results((image_id(photo.name), found.words) for photo, found in done))


def _write_json(path: Path, done: Captioned) -> None:
    rows: list[dict[str, Any]] = [
        {
            "file": str(photo),
            "caption": str(found),
            "words": found.words,
            "score": found.score,
            "grid": found.grid,
            "visible": found.visible,
            "alphas": [[round(weight, 5) for weight in alpha] for alpha in found.alphas.tolist()],
        }
        for photo, found in done
    ]
    _write_text(path, json.dumps(rows, ensure_ascii=False) + "\n")


def _write_csv(path: Path, done: Captioned) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "caption", "score"))
        writer.writerows((photo, found, f"{found.score:.4f}") for photo, found in done)
