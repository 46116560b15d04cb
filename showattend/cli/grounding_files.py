"""Files of `showattend ground`: figures as JSON, and a line for each mention as CSV."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from showattend.files import write_table
from showattend.grounding import MEASURED, MEASURES, NO_BOX, OUT_OF_SIGHT, SHARES, CurveSummary, Mention, Summary
from showattend.metrics import Estimate


def summary_json(summary: Summary, mentions: Sequence[Mention]) -> dict[str, Any]:
    """All figures of a summary, and how many mentions there were of each state."""
    states = Counter(mention.state for mention in mentions)
    return {
        "words": {state: states[state] for state in (MEASURED, NO_BOX, OUT_OF_SIGHT)},
        "photos": _photos([mention for mention in mentions if mention.state == MEASURED]),
        "threshold": summary.threshold,
        "measures": {who: {name: _estimate(found) for name, found in of_who.items()} for who, of_who in summary.estimates.items()},
        "pointing_with_misses": pointing_with_misses(summary, mentions),
        "nouns": {noun: {"words": count, **means} for noun, (count, means) in summary.nouns.items()},
    }


def pointing_with_misses(summary: Summary, mentions: Sequence[Mention]) -> float:
    """The pointing rate if every word that could not be measured counted as a miss, as the demo counts."""
    return float(summary.values[:, MEASURES.index("pointing")].sum() / len(mentions))


def curves_json(summary: CurveSummary, chosen: Sequence[Mention]) -> dict[str, Any]:
    """All figures of the curves."""
    return {
        "words": len(chosen),
        "photos": _photos(chosen),
        "shares": SHARES.tolist(),
        "areas": {name: {order: _estimate(found) for order, found in orders.items()} for name, orders in summary.areas.items()},
        "curves": {
            name: {order: [_estimate(point) for point in points] for order, points in orders.items()}
            for name, orders in summary.points.items()
        },
    }


def write_mentions(path: Path, mentions: Sequence[Mention], summary: Summary) -> None:
    """Each mention with its state, and its measures if it was measured."""
    write_table(path, ("photo", "caption", "place", "word", "noun", "boxes", "state", *MEASURES), _rows(mentions, summary))


def _rows(mentions: Sequence[Mention], summary: Summary) -> Iterator[tuple[object, ...]]:
    values = iter(summary.values)
    for mention in mentions:
        place, noun, boxes = mention.word
        measured = [f"{value:.4f}" for value in next(values)] if mention.state == MEASURED else [""] * len(MEASURES)
        said = mention.caption.words[place]
        yield mention.photo.id, mention.caption, place, said, noun, len(boxes), mention.state, *measured


def _photos(mentions: Sequence[Mention]) -> int:
    return len({mention.photo.id for mention in mentions})


def _estimate(found: Estimate) -> dict[str, float]:
    return {"value": found.value, "low": found.interval.low, "high": found.interval.high}
