"""`showattend evaluate`: which captions are scored, and against what. What becomes of them is in scoring.py."""

import argparse
import sys

from tqdm import tqdm

from showattend.cli.options import NUMBERS, chosen_captioner, chosen_folders, chosen_search
from showattend.cli.results import coco_results, write_text
from showattend.cli.scoring import Job, check_scoring, chosen_official, score
from showattend.data.captions import read_captions
from showattend.data.references import References, read_references, references_of
from showattend.data.results import Results, check_results, read_results
from showattend.errors import InputError
from showattend.inference import Failure


def evaluate(parsed: argparse.Namespace) -> int:
    """Score a model on a split of a data set, or captions from a file; results are on disk before any score is computed."""
    _check_sources(parsed)
    parsed.tokenizer = parsed.tokenizer or ("ptb" if parsed.results else "nltk")
    check_scoring(parsed)
    references, training = _references(parsed)
    other = _other(parsed, references)
    for note in references.notes:
        print(note, file=sys.stderr)
    official = chosen_official(parsed)
    if parsed.results:
        results, search = read_results(parsed.results, references), ""
        if results.note:
            print(results.note, file=sys.stderr)
    else:
        results, search = _caption(parsed, references)
    speaker = str(parsed.results or " + ".join(map(str, chosen_folders(parsed))))
    against = str(parsed.references or f"{parsed.root}, split {parsed.split or 'val'}")
    return score(Job(f"{speaker} on {against}", references, results, other, official, search, training), parsed)


def _check_sources(parsed: argparse.Namespace) -> None:
    """Captions from one place, references from one place."""
    if parsed.results and chosen_folders(parsed):
        raise InputError("--results are captions already: leave out --model and --ensemble, or --results")
    spoken = [name for name in NUMBERS if getattr(parsed, name, None) is not None]
    spoken += [name for name in ("sample", "must_include", "ban", "attention_mode", "fuse", "int8") if getattr(parsed, name)]
    if parsed.results and spoken:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in spoken)
        raise InputError(f"--results are captions already, and nothing is searched for: leave out {options}")
    if parsed.references and not parsed.results:
        raise InputError("--references are for captions from --results: a model needs photos, give --data.root DIR")
    if bool(parsed.root) == bool(parsed.references):
        choice = "leave out one of the two" if parsed.root else "give --data.root DIR, or --results FILE --references FILE"
        raise InputError(f"references come from --data.root or from --references: {choice}")


def _references(parsed: argparse.Namespace) -> tuple[References, tuple[str, ...]]:
    """What is scored against, and the captions that a model may have learned from, where they are known."""
    if parsed.references:
        return read_references(parsed.references, parsed.split), ()
    data = read_captions(parsed.root, parsed.layout)
    references = references_of(data.split(parsed.split or "val"))
    references.notes += data.notes
    return references, tuple(caption for photo in data.splits["train"] for caption in photo.captions)


def _other(parsed: argparse.Namespace, references: References) -> Results | None:
    """The captions to compare with: of all photos, or not at all."""
    if not parsed.compare:
        return None
    other = read_results(parsed.compare, references)
    wrong = [line.rpartition(": ")[0] for kind, line in other.problems.items() if kind != "empty"]
    if wrong:
        raise InputError(f"{wrong[0]}: nothing is compared on a part of them")
    for line in other.problems.values():
        print(line, file=sys.stderr)
    return other


def _caption(parsed: argparse.Namespace, references: References) -> tuple[Results, str]:
    """A model's captions of all photos, and how it searched for them."""
    captioner = chosen_captioner(parsed)
    search = chosen_search(captioner, parsed)
    paths = list(references.files.values())
    found = captioner.caption_files(paths, search, batch_size=parsed.batch_size, workers=parsed.workers)
    rows = []
    for photo, (_, result) in zip(references.files, tqdm(found, desc="Captioning", total=len(paths), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            rows.append((photo, str(result)))
    if not rows:
        raise InputError(f"none of the {len(paths)} photos of the split '{parsed.split or 'val'}' can be read")
    if parsed.out:
        write_text(parsed.out / "results.json", coco_results(rows))
    return check_results(rows, references, "the model"), str(search)
