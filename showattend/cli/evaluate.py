"""`showattend evaluate`: which captions are scored, and against what. What becomes of them is in scoring.py."""

import argparse
import sys

from tqdm import tqdm

from showattend.cli.options import NUMBERS, captioner_from_args, model_folders_from_args, search_from_args
from showattend.cli.results import coco_results, write_text
from showattend.cli.scoring import ScoringInputs, check_scoring, official_from_args, score
from showattend.data.captions import read_captions
from showattend.data.references import References, read_references, references_of
from showattend.data.results import Results, check_results, read_results
from showattend.errors import InputError
from showattend.inference import Failure


def evaluate(args: argparse.Namespace) -> int:
    """Score a model on a split of a data set, or captions from a file; results are on disk before any score is computed."""
    _check_sources(args)
    args.tokenizer = args.tokenizer or ("ptb" if args.results else "nltk")
    check_scoring(args)
    references, training = _references(args)
    other = _other(args, references)
    for note in references.notes:
        print(note, file=sys.stderr)
    official = official_from_args(args)
    if args.results:
        results, search = read_results(args.results, references), ""
        if results.note:
            print(results.note, file=sys.stderr)
    else:
        results, search = _caption(args, references)
    inference_decoder = str(args.results or " + ".join(map(str, model_folders_from_args(args))))
    against = str(args.references or f"{args.root}, split {args.split or 'val'}")
    return score(ScoringInputs(f"{inference_decoder} on {against}", references, results, other, official, search, training), args)


def _check_sources(args: argparse.Namespace) -> None:
    """Captions from one place, references from one place."""
    if args.results and model_folders_from_args(args):
        raise InputError("--results are captions already: leave out --model and --ensemble, or --results")
    spoken = [name for name in NUMBERS if getattr(args, name, None) is not None]
    spoken += [name for name in ("sample", "must_include", "ban", "attention_mode", "fuse", "int8") if getattr(args, name)]
    if args.results and spoken:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in spoken)
        raise InputError(f"--results are captions already, and nothing is searched for: leave out {options}")
    if args.references and not args.results:
        raise InputError("--references are for captions from --results: a model needs photos, give --data.root DIR")
    if bool(args.root) == bool(args.references):
        choice = "leave out one of the two" if args.root else "give --data.root DIR, or --results FILE --references FILE"
        raise InputError(f"references come from --data.root or from --references: {choice}")


def _references(args: argparse.Namespace) -> tuple[References, tuple[str, ...]]:
    """What is scored against, and the captions that a model may have learned from, where they are known."""
    if args.references:
        return read_references(args.references, args.split), ()
    data = read_captions(args.root, args.layout)
    references = references_of(data.split(args.split or "val"))
    references.notes += data.notes
    return references, tuple(caption for photo in data.splits["train"] for caption in photo.captions)


def _other(args: argparse.Namespace, references: References) -> Results | None:
    """The captions to compare with: of all photos, or not at all."""
    if not args.compare:
        return None
    other = read_results(args.compare, references)
    wrong = [line.rpartition(": ")[0] for kind, line in other.problems.items() if kind != "empty"]
    if wrong:
        raise InputError(f"{wrong[0]}: nothing is compared on a part of them")
    for line in other.problems.values():
        print(line, file=sys.stderr)
    return other


def _caption(args: argparse.Namespace, references: References) -> tuple[Results, str]:
    """A model's captions of all photos, and how it searched for them."""
    captioner = captioner_from_args(args)
    search = search_from_args(captioner, args)
    paths = list(references.files.values())
    found = captioner.caption_files(paths, search, batch_size=args.batch_size, workers=args.workers)
    rows = []
    for photo, (_, result) in zip(references.files, tqdm(found, desc="Captioning", total=len(paths), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            rows.append((photo, str(result)))
    if not rows:
        raise InputError(f"none of the {len(paths)} photos of the split '{args.split or 'val'}' can be read")
    if args.out:
        write_text(args.out / "results.json", coco_results(rows))
    return check_results(rows, references, "the model"), str(search)
