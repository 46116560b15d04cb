"""Scores of captions on the screen, in files and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from showattend.cli.scoring import TOKENIZERS, Scores, ScoringInputs
from showattend.console import printable
from showattend.files import write_table, write_text
from showattend.metrics import find_metric
from showattend.metrics.diversity import share_repeated, vocabulary_size
from showattend.metrics.significance import Comparison

if TYPE_CHECKING:
    from showattend.pretrained import Pretrained
    from showattend.visualize import PhotoReport


def print_scores(title: str, scores: Scores) -> None:
    """A line for each metric with its interval, then the signature."""
    print(f"\n{printable(title)}")
    for name, value in scores.values.items():
        if name in scores.statistics.undefined:
            print(f"  {find_metric(name).label:8}not defined")
            continue
        bounds = scores.bounds.get(name)
        interval = f"  [{bounds.low:.4f}, {bounds.high:.4f}]" if bounds else ""
        print(f"  {find_metric(name).label:8}{value:8.4f}{interval}{_direction(name)}")
    own, one_person = diversity(scores)
    print(
        f"  {own['words']:,} different words (one person's captions of these photos: {one_person['words']:,}); "
        f"{own['repeated']:.1%} of the captions are those of another photo too ({one_person['repeated']:.1%})"
    )
    print(f"  {scores.signature}")


def diversity(scores: Scores) -> tuple[dict[str, int | float], dict[str, int | float]]:
    """Different words and the share of captions that are another photo's too: of the captions, and of each photo's first reference."""
    references = [of_photo[0] for of_photo in scores.tokens.references.values()]
    own, one_person = (
        {"words": vocabulary_size(captions), "repeated": share_repeated(captions)}
        for captions in (list(scores.tokens.hypotheses.values()), references)
    )
    return own, one_person


def print_comparison(differences: Mapping[str, Comparison], other: str) -> None:
    """A line for each metric: the difference, its interval, and the p-value."""
    print(f"\ndifference from {printable(other)}: 95% interval by a paired bootstrap, p by approximate randomisation")
    for name, (difference, interval, p) in differences.items():
        bounds = f"[{interval.low:+.4f}, {interval.high:+.4f}]"
        print(f"  {find_metric(name).label:8}{difference:+8.4f}  {bounds}  p {p:.3f}{_direction(name)}")


def write_scores(folder: Path, inputs: ScoringInputs, scores: Scores) -> None:
    """Write metrics.json and photos.csv; a model's results.json is written before anything is scored."""
    bounds = {name: list(interval) for name, interval in scores.bounds.items()}
    problems = list(inputs.results.problems.values())
    values = {name: None if math.isnan(value) else value for name, value in scores.values.items()}
    own, one_person = diversity(scores)
    metrics = {
        **values,
        "intervals": bounds,
        "diversity": {**own, "references": one_person},
        "signature": scores.signature,
        "problems": problems,
    }
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    captions = inputs.results.captions.items()
    rows = (
        (photo, caption, len(scores.tokens.hypotheses[photo]), *(f"{value:.6f}" for value in values))
        for (photo, caption), *values in zip(captions, *scores.per_photo.values(), strict=True)
    )
    write_table(folder / "photos.csv", ("id", "caption", "words", *scores.per_photo), rows)


def write_report_page(path: Path, inputs: ScoringInputs, scores: Scores) -> None:
    """Write the report: scores, lengths, diversity, and the best and the worst photos by CIDEr-D."""
    from showattend.visualize import DiversityInputs, ScoreRow, write_report  # drawing is slow to import, and seldom needed

    split = TOKENIZERS[inputs.tokenizer]
    training = [split(text) for text in tqdm(inputs.training, "Reading the training captions", unit=" captions", disable=None)]
    table = [ScoreRow(_title(name), value, scores.bounds.get(name)) for name, value in scores.values.items()]
    problems = list(inputs.results.problems.values())
    diversity = DiversityInputs(list(scores.tokens.hypotheses.values()), list(scores.tokens.references.values()), training)
    write_report(path, inputs.title, scores.signature, table, problems, diversity, _photo_reports(inputs, scores))


def write_card(path: Path, model: Pretrained, inputs: ScoringInputs, scores: Scores) -> None:
    """Write a model's card with these scores and captions drawn at random; one that lies there is replaced.

    Raises:
        InputError: it cannot be written.
    """
    from showattend.pretrained.card import Evaluation, model_card

    defined = {name: value for name, value in scores.values.items() if not math.isnan(value)}
    evaluation = Evaluation(
        inputs.title,
        {_title(name): (value, scores.bounds.get(name)) for name, value in defined.items()},
        scores.signature,
        diversity(scores),
        {photo: (caption, inputs.references.captions[photo]) for photo, caption in inputs.results.captions.items()},
    )
    write_text(path, model_card(model, evaluation))


def _photo_reports(inputs: ScoringInputs, scores: Scores) -> Sequence[PhotoReport]:
    """All photos that were scored, the best first."""
    from showattend.visualize import PhotoReport

    labels = [find_metric(name).label for name in scores.per_photo]
    files, references = inputs.references.files, inputs.references.captions
    ranking = scores.per_photo.get("cider_d", next(iter(scores.per_photo.values())))
    ranked = sorted(zip(inputs.results.captions.items(), ranking, *scores.per_photo.values(), strict=True), key=lambda row: -row[1])
    return [
        PhotoReport(photo, files.get(photo, Path(str(photo))), caption, references[photo], dict(zip(labels, values, strict=True)))
        for (photo, caption), _, *values in ranked
    ]


def _title(name: str) -> str:
    return f"{find_metric(name).label}{_direction(name)}"


def _direction(name: str) -> str:
    """A remark for the metrics of which less is better."""
    return "" if find_metric(name).higher_is_better else "  (lower is better)"
