"""Inputs of `showattend evaluate` besides the captions: references, another system's captions, optional metrics."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from showattend.data.captions import read_captions
from showattend.data.references import References, read_references, references_of
from showattend.data.results import Results, read_results
from showattend.errors import InputError, unknown_name
from showattend.metrics import optional_metrics
from showattend.metrics.optional import OptionalScorers
from showattend.metrics.spice import Spice


def read_scoring_references(file: Path | None, root: Path, layout: str, split: str | None) -> tuple[References, tuple[str, ...]]:
    """The references, from a file or from a data set, and the captions of the data set that a model may have learned from."""
    if file:
        return read_references(file, split), ()
    data = read_captions(root, layout)
    references = references_of(data.split(split or "val"))
    references.notes += data.notes
    return references, tuple(caption for photo in data.splits["train"] for caption in photo.captions)


def read_complete_results(path: Path, references: References) -> Results:
    """The captions of another system.

    Raises:
        InputError: they are not one caption for each photo.
    """
    results = read_results(path, references)
    wrong = [line.rpartition(": ")[0] for kind, line in results.problems.items() if kind != "empty"]
    if wrong:
        raise InputError(f"{wrong[0]}: nothing is compared on a part of them")
    return results


def make_optional_scorers(names: Sequence[str] | None, spice_models: Path | None) -> OptionalScorers:
    """Check the optional metrics that are requested; None: none, no name: METEOR.

    Raises:
        InputError: an unknown name, or models for SPICE without SPICE.
    """
    known = optional_metrics()
    requested = [] if names is None else list(dict.fromkeys(names or ["meteor"]))
    for name in requested:
        if name not in known:
            raise unknown_name("official metric", name, known)
    if spice_models and "spice" not in requested:
        raise InputError("--spice-models are for SPICE: give --official spice too, or leave them out")
    metrics = (known[name] for name in requested)
    return OptionalScorers(replace(metric, models=spice_models) if isinstance(metric, Spice) else metric for metric in metrics)
