"""Scores of captions against references: computed, printed, written, compared."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from showattend.cli.results import write_table, write_text
from showattend.data.listings import PhotoId
from showattend.data.references import References
from showattend.data.results import Results
from showattend.errors import InputError, unknown_name
from showattend.files import check_writable
from showattend.metrics import PhotoStatistics, compare, intervals, ptb_tokenize, signature
from showattend.metrics.official import OFFICIAL, Official
from showattend.metrics.scores import Floats
from showattend.metrics.significance import Comparison, Interval
from showattend.vocabulary import tokenize

NAMES = {"bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L", "cider_d": "CIDEr-D"} | {
    "meteor": "METEOR",
    "spice": "SPICE",
}
TOKENIZERS = {"nltk": tokenize, "ptb": ptb_tokenize}
OF_PHOTOS = ("bleu4", "rouge_l", "cider_d")


class ScoringInputs(NamedTuple):
    """What is scored.

    title: whose captions, on what
    other: the captions of another system, for `--compare`
    official: METEOR and SPICE, as far as they are wanted and work
    search: how a model searched for its captions
    training: captions that it may have learned from
    """

    title: str
    references: References
    results: Results
    other: Results | None
    official: Official
    search: str
    training: tuple[str, ...]


class Scores(NamedTuple):
    """What is known of the captions: names to values, the signature that says how they came about."""

    values: dict[str, float]
    bounds: Mapping[str, Interval]
    of_photos: dict[str, Floats]  # each (N,)
    signature: str


def check_scoring(args: argparse.Namespace) -> None:
    """Find out before the work what cannot be scored or written.

    Raises:
        InputError: an unknown tokeniser, models for SPICE without SPICE, or a folder that cannot be written to.
    """
    if args.tokenizer not in TOKENIZERS:
        raise unknown_name("tokenizer", args.tokenizer, TOKENIZERS)
    if args.spice_models and "spice" not in (args.official or ()):
        raise InputError("--spice-models are for SPICE: say --official spice too, or leave them out")
    if args.out:
        check_writable(args.out / "results.json")
    if args.report:
        check_writable(args.report)


def official_from_args(args: argparse.Namespace) -> Official:
    """Find out before the work which of METEOR and SPICE, as far as they are asked for, can be used, and say why one cannot."""
    if args.official is None:
        return Official(())
    official = Official(args.official or OFFICIAL[:1], args.spice_models)
    for reason in official.reasons:
        print(reason, file=sys.stderr)
    return official


def score(inputs: ScoringInputs, args: argparse.Namespace) -> int:
    """Score, print and write; 0 if every photo has one caption, every caption a photo, and every scorer worked, else 1.

    Raises:
        InputError: with `--strict`, what is wrong with the results; or no caption has references.
    """
    _tell(inputs.results.problems, strict=args.strict)
    captions = inputs.results.captions
    if not captions:
        raise InputError(f"{inputs.title}: no photo has both a caption and references")
    split = TOKENIZERS[args.tokenizer]
    said, references = _tokens(inputs, split)
    statistics = PhotoStatistics(said, references)
    scores = _scores(inputs, args.tokenizer, statistics, sum(map(len, references.values())))
    _print_scores(inputs.title, scores)
    if args.out:
        _write(args.out, inputs, scores, {photo: len(words) for photo, words in said.items()})
    if args.report:
        training = tqdm(inputs.training, desc="Reading the training captions", unit=" captions", disable=None)
        tokens = (list(said.values()), list(references.values()), [split(text) for text in training])
        _report(args.report, inputs, scores, tokens)
    if inputs.other:
        theirs = PhotoStatistics({photo: split(inputs.other.captions[photo]) for photo in captions}, references)
        _print_comparison(compare(statistics, theirs), str(args.compare))
    return 1 if inputs.results.problems or inputs.official.reasons else 0


def _tokens(inputs: ScoringInputs, split: Callable[[str], list[str]]) -> tuple[dict[PhotoId, list[str]], dict[PhotoId, list[list[str]]]]:
    """The words of each caption, and of the references of the photos that have one."""
    captions, texts = inputs.results.captions, inputs.references.captions
    return {photo: split(said) for photo, said in captions.items()}, {photo: [split(text) for text in texts[photo]] for photo in captions}


def _scores(inputs: ScoringInputs, tokenizer: str, statistics: PhotoStatistics, references: int) -> Scores:
    values = statistics.scores()
    of_photos = {name: found for name, found in statistics.photo_scores().items() if name in OF_PHOTOS}
    for name, (value, found) in _official_scores(inputs).items():
        values[name], of_photos[name] = value, np.array(found)
    more = {"search": inputs.search, **inputs.official.signature()}
    line = signature(tokenizer, len(statistics.ids), len(inputs.references.captions), references, more)
    return Scores(values, intervals(statistics), of_photos, line)


def _official_scores(inputs: ScoringInputs) -> dict[str, tuple[float, list[float]]]:
    """Of METEOR and SPICE, on PTB tokens whatever the others count; one that fails now is told of, and left out."""
    if not inputs.official.usable:
        return {}
    told = len(inputs.official.reasons)
    said, references = _tokens(inputs, ptb_tokenize)
    found = inputs.official.scores(list(said.values()), list(references.values()))
    for reason in inputs.official.reasons[told:]:
        print(reason, file=sys.stderr)
    return found


def _tell(problems: Mapping[str, str], *, strict: bool) -> None:
    for line in problems.values():
        print(line, file=sys.stderr)
    if problems and strict:
        raise InputError(f"nothing is scored, for the results are not sound: {', '.join(problems)} (without --strict the rest is scored)")


def _write(out: Path, inputs: ScoringInputs, scores: Scores, words: Mapping[PhotoId, int]) -> None:
    """metrics.json and photos.csv; a model's results.json is there already."""
    bounds = {name: list(interval) for name, interval in scores.bounds.items()}
    metrics = {**scores.values, "intervals": bounds, "signature": scores.signature, "problems": list(inputs.results.problems.values())}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    rows = (
        (photo, said, words[photo], *(f"{value:.6f}" for value in values))
        for (photo, said), *values in zip(inputs.results.captions.items(), *scores.of_photos.values(), strict=True)
    )
    write_table(out / "photos.csv", ("id", "caption", "words", *scores.of_photos), rows)


def _report(
    path: Path, inputs: ScoringInputs, scores: Scores, tokens: tuple[list[list[str]], list[list[list[str]]], list[list[str]]]
) -> None:
    """The page; tokens are those of the captions, of their references and of the training captions."""
    from showattend.visualize import DiversityInputs, PhotoReport, ScoreRow, write_report  # drawing is slow to import, and seldom wanted

    names = [NAMES[name] for name in scores.of_photos]
    photos = [
        PhotoReport(
            photo,
            inputs.references.files.get(photo, Path(str(photo))),
            said,
            inputs.references.captions[photo],
            dict(zip(names, values, strict=True)),
        )
        for (photo, said), *values in zip(inputs.results.captions.items(), *scores.of_photos.values(), strict=True)
    ]
    photos.sort(key=lambda photo: -photo.scores[NAMES["cider_d"]])
    table = [ScoreRow(NAMES[name], value, scores.bounds.get(name)) for name, value in scores.values.items()]
    write_report(path, inputs.title, scores.signature, table, list(inputs.results.problems.values()), DiversityInputs(*tokens), photos)


def _print_scores(title: str, scores: Scores) -> None:
    print(f"\n{title}")
    for name, value in scores.values.items():
        bounds = scores.bounds.get(name)
        print(f"  {NAMES[name]:8}{value:8.4f}" + (f"  [{bounds.low:.4f}, {bounds.high:.4f}]" if bounds else ""))
    print(f"  {scores.signature}")


def _print_comparison(found: Mapping[str, Comparison], other: str) -> None:
    print(f"\nmore than {other}, with 95% of a paired bootstrap and p by approximate randomisation")
    for name, (difference, interval, p) in found.items():
        print(f"  {NAMES[name]:8}{difference:+8.4f}  [{interval.low:+.4f}, {interval.high:+.4f}]  p {p:.3f}")
