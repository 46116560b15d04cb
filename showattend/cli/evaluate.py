"""`showattend evaluate`: which captions are scored, and against what. What becomes of them is in scoring.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.from_args import captioner_from_args, generation_config_from_args, model_folders_from_args, numeric_generation_options
from showattend.cli.options import Commands, add_data_options, add_ensemble_options, add_generation_options, add_speed_options
from showattend.errors import InputError

if TYPE_CHECKING:
    from showattend.data.references import References
    from showattend.data.results import Results


def add_parser(commands: Commands) -> None:
    """The options of `showattend evaluate`."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score captions, a model's or anybody's: BLEU-1..4, ROUGE-L, CIDEr-D",
        description="Score a model's captions of a data set (--model, --data.root), or captions that are there already, without a model "
        "(--results, with --references or --data.root). Each score comes with a 95% bootstrap interval over the photos, all of them with "
        "a signature: a line that says how they were computed.",
    )
    add_ensemble_options(evaluate)
    add_data_options(evaluate, required=False)
    _add_files(evaluate)
    _add_scores(evaluate)
    add_speed_options(evaluate)
    add_generation_options(evaluate)
    evaluate.set_defaults(run=run)


def _add_files(evaluate: argparse.ArgumentParser) -> None:
    files = evaluate.add_argument_group("captions that are there already")
    files.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="score these captions, in COCO's result format: image_id is the references' id, or the name of the photo's file",
    )
    files.add_argument(
        "--references",
        type=Path,
        metavar="FILE",
        help="with --results: COCO's captions, Karpathy's JSON, Flickr's tokens, or a CSV of image and caption; where the file names "
        "splits those of --split, else all photos. No photo needs to be there",
    )


def _add_scores(evaluate: argparse.ArgumentParser) -> None:
    scores = evaluate.add_argument_group("what is scored, and where the scores go")
    scores.add_argument(
        "--strict", action="store_true", help="a photo without caption or with two, an unknown id, an empty caption: status 2 and no score"
    )
    scores.add_argument(
        "--tokenizer",
        help="nltk, the words of training (default with a model), or ptb, the official scorers' words (default with --results): "
        "take ptb to compare with published numbers",
    )
    scores.add_argument(
        "--official",
        nargs="*",
        choices=("meteor", "spice"),
        metavar="NAME",
        help="meteor (the default) and spice too, by their authors' own Java on PTB tokens: pip install 'showattend[coco]' and a Java, "
        "8 to 14 for spice. Tried before the work; where one cannot be used a line says why, the others come, and the status is 1",
    )
    scores.add_argument(
        "--spice-models",
        type=Path,
        metavar="DIR",
        help="folder of Stanford CoreNLP 3.6.0's two jars, for spice (default: pycocoevalcap's own, if it has them); nothing is downloaded",
    )
    scores.add_argument("--compare", type=Path, metavar="FILE", help="another system's captions of the same photos, as --out writes them")
    scores.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write metrics.json, photos.csv with each photo's scores, and a model's captions as results.json (COCO's format)",
    )
    scores.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write one page that needs nothing else: scores, lengths, variety, new captions, the twenty best and worst photos",
    )


def run(args: argparse.Namespace) -> int:
    """Score a model on a split of a data set, or captions from a file; results are on disk before any score is computed."""
    from showattend.cli.scoring import ScoringInputs, check_scoring, official_from_args, score
    from showattend.data.results import read_results

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
    spoken = [name for name in numeric_generation_options() if getattr(args, name, None) is not None]
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
    from showattend.data.captions import read_captions
    from showattend.data.references import read_references, references_of

    if args.references:
        return read_references(args.references, args.split), ()
    data = read_captions(args.root, args.layout)
    references = references_of(data.split(args.split or "val"))
    references.notes += data.notes
    return references, tuple(caption for photo in data.splits["train"] for caption in photo.captions)


def _other(args: argparse.Namespace, references: References) -> Results | None:
    """The captions to compare with: of all photos, or not at all."""
    from showattend.data.results import read_results

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
    from tqdm import tqdm

    from showattend.cli.results import coco_results, write_text
    from showattend.data.results import check_results
    from showattend.inference import Failure

    captioner = captioner_from_args(args)
    search = generation_config_from_args(captioner, args)
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
