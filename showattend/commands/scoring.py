"""Scores of captions against references: computed, printed, written, compared."""

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from showattend.commands.results import coco_results, write_text
from showattend.data.captions import PhotoId
from showattend.data.references import References
from showattend.data.results import Results
from showattend.errors import InputError, unknown_name
from showattend.files import check_writable, replacing
from showattend.metrics import PhotoStatistics, compare, intervals, ptb_tokenize, signature
from showattend.metrics.scores import Floats
from showattend.metrics.significance import Comparison, Interval
from showattend.vocabulary import tokenize

NAMES = {"bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L", "cider_d": "CIDEr-D"}
TOKENIZERS = {"nltk": tokenize, "ptb": ptb_tokenize}
OF_PHOTOS = ("bleu4", "rouge_l", "cider_d")


class Job(NamedTuple):
    """What is scored.

    title: whose captions, on what
    other: the captions of another system, for `--compare`
    search: how a model searched for its captions
    training: captions that it may have learned from
    """

    title: str
    references: References
    results: Results
    other: Results | None
    search: str
    training: tuple[str, ...]


class Scores(NamedTuple):
    """What is known of the captions: names to values, the signature that says how they came about."""

    values: dict[str, float]
    bounds: Mapping[str, Interval]
    of_photos: dict[str, Floats]  # each (N,)
    signature: str


def check_scoring(parsed: argparse.Namespace) -> None:
    """Find out before the work what cannot be scored or written.

    Raises:
        InputError: an unknown tokeniser, or a folder that cannot be written to.
    """
    if parsed.tokenizer not in TOKENIZERS:
        raise unknown_name("tokenizer", parsed.tokenizer, TOKENIZERS)
    if parsed.out:
        check_writable(parsed.out / "results.json")
    if parsed.report:
        check_writable(parsed.report)


def score(job: Job, parsed: argparse.Namespace) -> int:
    """Score, print and write; 0 if every photo has one caption and every caption a photo, else 1.

    Raises:
        InputError: with `--strict`, what is wrong with the results; or no caption has references.
    """
    _tell(job.results.problems, strict=parsed.strict)
    captions = job.results.captions
    if not captions:
        raise InputError(f"{job.title}: no photo has both a caption and references")
    split = TOKENIZERS[parsed.tokenizer]
    references = {photo: [split(text) for text in job.references.captions[photo]] for photo in captions}
    said = {photo: split(text) for photo, text in captions.items()}
    statistics = PhotoStatistics(said, references)
    counted = (len(captions), len(job.references.captions), sum(map(len, references.values())))
    scores = Scores(
        statistics.scores(),
        intervals(statistics),
        {name: values for name, values in statistics.photo_scores().items() if name in OF_PHOTOS},
        signature(parsed.tokenizer, *counted, {"search": job.search}),
    )
    _print_scores(job.title, scores)
    if parsed.out:
        _write(parsed.out, job, scores, {photo: len(words) for photo, words in said.items()})
    if parsed.report:
        training = [split(text) for text in job.training]
        _report(
            parsed.report, job, scores, list(said.values()), [words for of_photo in references.values() for words in of_photo], training
        )
    if job.other:
        theirs = PhotoStatistics({photo: split(job.other.captions[photo]) for photo in captions}, references)
        _print_comparison(compare(statistics, theirs), str(parsed.compare))
    return 1 if job.results.problems else 0


def _tell(problems: Mapping[str, str], *, strict: bool) -> None:
    for line in problems.values():
        print(line, file=sys.stderr)
    if problems and strict:
        raise InputError(f"nothing is scored, for the results are not sound: {', '.join(problems)} (without --strict the rest is scored)")


def _write(out: Path, job: Job, scores: Scores, words: Mapping[PhotoId, int]) -> None:
    """results.json, metrics.json and photos.csv."""
    write_text(out / "results.json", coco_results(job.results.captions.items()))
    bounds = {name: list(interval) for name, interval in scores.bounds.items()}
    metrics = {**scores.values, "intervals": bounds, "signature": scores.signature, "problems": list(job.results.problems.values())}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    with replacing(out / "photos.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "caption", "words", *scores.of_photos))
        for (photo, said), *values in zip(job.results.captions.items(), *scores.of_photos.values(), strict=True):
            writer.writerow((photo, said, words[photo], *(f"{value:.6f}" for value in values)))


def _report(path: Path, job: Job, scores: Scores, *tokens: list[list[str]]) -> None:
    """The page; tokens are those of the captions, of their references and of the training captions."""
    from showattend.visualize import Judged, Scored, Variety, write_report  # drawing is slow to import, and seldom wanted

    names = [NAMES[name] for name in scores.of_photos]
    photos = [
        Judged(photo, job.references.files[photo], said, job.references.captions[photo], dict(zip(names, values, strict=True)))
        for (photo, said), *values in zip(job.results.captions.items(), *scores.of_photos.values(), strict=True)
    ]
    photos.sort(key=lambda photo: -photo.scores[NAMES["cider_d"]])
    table = [Scored(NAMES[name], value, scores.bounds.get(name)) for name, value in scores.values.items()]
    write_report(path, job.title, scores.signature, table, list(job.results.problems.values()), Variety(*tokens), photos)


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
