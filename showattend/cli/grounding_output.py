"""Results of `showattend ground` on the screen, as JSON, and as a table of all mentions."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from showattend.console import printable
from showattend.files import write_table, write_text
from showattend.grounding import MEASURED, MEASURES, NO_BOX, OUTSIDE_CROP, SHARES, CurveSummary, GroundingSummary, Mention, Sharpness
from showattend.metrics import Estimate

LABELS = {"pointing": "pointing", "mass": "mass in boxes", "iou": "IoU"}
NOUNS = 10  # in the printed table
REASONS = {NO_BOX: "name nothing that has a box in the photo", OUTSIDE_CROP: "name what lies outside what the network sees"}


def print_summary(summary: GroundingSummary, mentions: Sequence[Mention]) -> None:
    """Print the measures with chance level and the centre baseline, the words that were not measured, and the most frequent nouns."""
    print(f"\n  {'':15}" + "".join(f"{source:24}" for source in summary.estimates).rstrip())
    for name in MEASURES:
        label = f"{LABELS[name]} at {summary.threshold:.2g}" if name == "iou" else LABELS[name]
        print(f"  {label:15}" + "".join(f"{_interval(of_source[name]):24}" for of_source in summary.estimates.values()).rstrip())
    photos = _count_photos([mention for mention in mentions if mention.status == MEASURED])
    print(f"  {len(summary.values)} words in {photos} photos; in brackets 95% of 1,000 bootstrap samples of the photos.")
    print("  chance: the same alpha on all locations; centre: all alpha on the photo's centre;")
    print("  IoU: of the cells whose alpha is at least that share of its maximum.")
    for status in REASONS:
        _print_not_measured(status, mentions)
    if len(mentions) > len(summary.values):
        print(f"  If they counted as misses, pointing would be {pointing_with_misses(summary, mentions):.3f}.")
    _print_nouns(summary)


def print_sharpness(sharpness: Sharpness) -> None:
    """The entropy of alpha for each class of words, and how much it changes within a caption."""
    most = math.log(sharpness.locations)
    print(f"\n  entropy of alpha over {sharpness.locations} locations, from 0 (all on one) to {most:.3f} nats (the same on all)")
    for name, (count, entropy) in sharpness.classes.items():
        print(f"  {name:15}{_interval(entropy):24}{count} words")
    print(f"  {'change':15}{_interval(sharpness.change):24}from word to word of a caption; 0: always the same map")


def print_curves(summary: CurveSummary, mentions: Sequence[Mention]) -> None:
    """The areas under the deletion and insertion curves."""
    print(
        f"\n  area under the curve of the probability of {len(mentions)} words, while locations are hidden (deletion) or shown (insertion)"
    )
    print(f"  {'':15}{'in the order of alpha':24}{'in random orders':24}difference")
    for name, areas in summary.areas.items():
        alpha, random, difference = areas["alpha"], areas["random"], areas["difference"]
        print(f"  {name:15}{_interval(alpha):24}{_interval(random):24}{_interval(difference, '+.3f')}")


def write_grounding(folder: Path, summary: GroundingSummary | None, sharpness: Sharpness, mentions: Sequence[Mention]) -> None:
    """Write grounding.json, and with boxes mentions.csv, each mention with its status and its measures."""
    content = {"sharpness": sharpness_json(sharpness)}
    if summary:
        header = ("photo", "caption", "position", "word", "noun", "boxes", "status", *MEASURES)
        write_table(folder / "mentions.csv", header, _mention_rows(mentions, summary))
        content = summary_json(summary, mentions) | content
    write_text(folder / "grounding.json", json.dumps(content, indent=2) + "\n")


def write_curves(folder: Path, summary: CurveSummary, mentions: Sequence[Mention]) -> None:
    """Write faithfulness.json."""
    write_text(folder / "faithfulness.json", json.dumps(curves_json(summary, mentions), indent=2) + "\n")


def summary_json(summary: GroundingSummary, mentions: Sequence[Mention]) -> dict[str, Any]:
    """All values of a summary, and how many mentions have each status."""
    statuses = Counter(mention.status for mention in mentions)
    return {
        "words": {status: statuses[status] for status in (MEASURED, *REASONS)},
        "photos": _count_photos([mention for mention in mentions if mention.status == MEASURED]),
        "threshold": summary.threshold,
        "measures": {
            source: {name: _estimate_json(estimate) for name, estimate in of_source.items()}
            for source, of_source in summary.estimates.items()
        },
        "pointing_with_misses": pointing_with_misses(summary, mentions),
        "nouns": {noun: {"words": count, **means} for noun, (count, means) in summary.nouns.items()},
    }


def sharpness_json(sharpness: Sharpness) -> dict[str, Any]:
    """All values of the sharpness."""
    classes = {name: {"words": count, "entropy": _estimate_json(entropy)} for name, (count, entropy) in sharpness.classes.items()}
    return {"locations": sharpness.locations, "classes": classes, "change": _estimate_json(sharpness.change)}


def curves_json(summary: CurveSummary, mentions: Sequence[Mention]) -> dict[str, Any]:
    """All values of the curves."""
    return {
        "words": len(mentions),
        "photos": _count_photos(mentions),
        "shares": SHARES.tolist(),
        "areas": {name: {order: _estimate_json(area) for order, area in areas.items()} for name, areas in summary.areas.items()},
        "curves": {
            name: {order: [_estimate_json(point) for point in points] for order, points in orders.items()}
            for name, orders in summary.points.items()
        },
    }


def pointing_with_misses(summary: GroundingSummary, mentions: Sequence[Mention]) -> float:
    """The pointing rate if every word that could not be measured counted as a miss, as the demo counts."""
    return float(summary.values[:, MEASURES.index("pointing")].sum() / len(mentions))


def _print_not_measured(status: str, mentions: Sequence[Mention]) -> None:
    """How many words have this status, with the first of them."""
    rest = [mention for mention in mentions if mention.status == status]
    if rest:
        example = printable(f"'{rest[0].text}' in {rest[0].photo.path.name}")
        print(f"  {len(rest)} more words ({len(rest) / len(mentions):.1%}) {REASONS[status]}, such as {example}: not measured.")


def _print_nouns(summary: GroundingSummary) -> None:
    print(f"\n  {'noun':15}words  " + "".join(f"{LABELS[name]:15}" for name in MEASURES).rstrip())
    for noun, (count, means) in list(summary.nouns.items())[:NOUNS]:
        print(f"  {printable(noun):15}{count:5}  " + "".join(f"{means[name]:<15.3f}" for name in MEASURES).rstrip())


def _mention_rows(mentions: Sequence[Mention], summary: GroundingSummary) -> Iterator[tuple[object, ...]]:
    values = iter(summary.values)
    for mention in mentions:
        position, noun, boxes = mention.word
        measures = [f"{value:.4f}" for value in next(values)] if mention.status == MEASURED else [""] * len(MEASURES)
        yield mention.photo.id, mention.caption, position, mention.text, noun, len(boxes), mention.status, *measures


def _count_photos(mentions: Sequence[Mention]) -> int:
    return len({mention.photo.id for mention in mentions})


def _interval(estimate: Estimate, form: str = ".3f") -> str:
    return f"{estimate.value:{form}} [{estimate.interval.low:{form}}, {estimate.interval.high:{form}}]"


def _estimate_json(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.interval.low, "high": estimate.interval.high}
