"""From the rows of a study to its summary: means with intervals, comparisons, importances, and a conclusion in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from showattend.study.caption_study import importances, planned_rows, search_rows
from showattend.study.config import METRICS, PRIMARY, CaptionStudy
from showattend.study.statistics import Comparison, compare_with_reference, runs_needed, summarize_sample
from showattend.study.trials import COMPLETE, DIVERGED, FAILED, Row

Summary = dict[str, Any]  # what summary.json holds
LABELS = {"test_nll": "NLL (nats a token)", "test_bleu4": "BLEU-4", "test_cider_d": "CIDEr-D", "test_pointing": "pointing accuracy"}
# What a setting is called in tables.
SETTINGS = ("learning_rate", "dropout", "clip", "hidden_size")


def summarize_captions(config: CaptionStudy, rows: Mapping[str, Row]) -> Summary:
    """The summary of a captioning study, finished or not: tracks, and in each the cells that have a final run."""
    rows = planned_rows(config, rows)
    return {
        "kind": "captions",
        "runs": count_runs(planned_runs(config), rows),
        "tracks": {track: _summarize_track(config, rows, track) for track in config.tracks},
    }


def planned_runs(config: CaptionStudy) -> int:
    """Runs of both phases."""
    return len(config.tracks) * len(config.chosen_cells) * (config.trials + config.seeds)


def count_runs(planned: int, rows: Mapping[str, Row]) -> dict[str, int]:
    """How many of the planned runs have a row, and how many of those failed."""
    return {"planned": planned, "finished": len(rows), "failed": sum(row.status == FAILED for row in rows.values())}


def _summarize_track(config: CaptionStudy, rows: Mapping[str, Row], track: str) -> Summary:
    finals = final_rows(config, rows, track)
    cells = {cell: _summarize_cell(cell, finals[cell], rows, track) for cell in finals}
    samples = {metric: samples_of(finals, metric) for metric in METRICS}
    comparisons = {
        metric: {
            reference: {name: asdict(result) for name, result in compared.items()}
            for reference in config.references
            if (compared := compare_with_reference(samples[metric], reference, margin=config.margins[metric]))
        }
        for metric in METRICS
        if metric in config.margins
    }
    summary = {
        "cells": cells,
        "search": _summarize_search(rows, track),
        "importances": importances(search_rows(rows, track), config.space),
        "comparisons": comparisons,
    }
    return {**summary, "conclusion": conclusion(config, summary)}


def final_rows(config: CaptionStudy, rows: Mapping[str, Row], track: str) -> dict[str, list[Row]]:
    """By cell, the rows of phase 2, by their seeds; cells without one are left out."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows.values(), key=lambda row: row.job.number):
        if (row.job.track, row.job.phase) == (track, "final"):
            found.setdefault(row.job.cell, []).append(row)
    return {cell: found[cell] for cell in config.chosen_cells if cell in found}


def samples_of(finals: Mapping[str, Sequence[Row]], metric: str) -> dict[str, list[float]]:
    """The values of a metric by cell; without cells that have none."""
    values = {cell: [row.values[metric] for row in rows if metric in row.values] for cell, rows in finals.items()}
    return {cell: found for cell, found in values.items() if found}


def _summarize_cell(cell: str, finals: Sequence[Row], rows: Mapping[str, Row], track: str) -> Summary:
    complete = [row for row in finals if row.status == COMPLETE]
    own = [row for row in rows.values() if (row.job.track, row.job.cell) == (track, cell)]
    return {
        "setting": finals[0].job.params,
        "metrics": {
            metric: asdict(summarize_sample(values[cell])) for metric in METRICS if cell in (values := samples_of({cell: finals}, metric))
        },
        "hidden_size": complete[0].values["hidden_size"] if complete else None,
        "cell_parameters": complete[0].values["cell_parameters"] if complete else None,
        "parameters": complete[0].values["parameters"] if complete else None,
        "seconds_a_step": sorted(row.values["seconds_a_step"] for row in complete)[len(complete) // 2] if complete else None,
        "diverged": sum(row.status == DIVERGED for row in own),
        "failed": sum(row.status not in (COMPLETE, DIVERGED) for row in own),
        "runs": len(own),
    }


def _summarize_search(rows: Mapping[str, Row], track: str) -> dict[str, Summary]:
    """By cell: runs of the search, and the best, median and worst validation loss of those that are complete."""
    found: dict[str, Summary] = {}
    for row in search_rows(rows, track):
        found.setdefault(row.job.cell, {"losses": []})["losses"].append(row.values["val_nll"])
    for search in found.values():
        losses = sorted(search.pop("losses"))
        search.update(runs=len(losses), best=losses[0], median=losses[len(losses) // 2], worst=losses[-1])
    return dict(sorted(found.items()))


def conclusion(config: CaptionStudy, track: Summary) -> list[str]:
    """Sentences about the primary metric, computed from the numbers of one track."""
    margin = config.margins[PRIMARY]
    sentences = []
    for reference, compared in track["comparisons"].get(PRIMARY, {}).items():
        results = {name: Comparison(**result) for name, result in compared.items()}
        sentences += _sentences(reference, results, track, margin, len(compared))
    if not sentences:
        return ["Not enough final runs yet to compare any two cells."]
    return sentences


def _sentences(reference: str, results: Mapping[str, Comparison], track: Summary, margin: float, comparisons: int) -> list[str]:
    better = [name for name, result in results.items() if result.verdict == "different" and result.difference < 0]
    worse = [name for name, result in results.items() if result.verdict == "different" and result.difference > 0]
    equal = [name for name, result in results.items() if result.verdict == "equivalent"]
    open_ = [name for name, result in results.items() if result.verdict == "undecided"]
    detectable = [result.detectable for result in results.values()]
    sentences = [
        f"Against {reference}, {_count(better, 'better')}, {_count(worse, 'worse')}, and "
        f"{_count(equal, 'equivalent')} within {margin:g} nats a token.",
        f"These runs would have found differences of {min(detectable):.2g} to {max(detectable):.2g} nats with probability 0.8: "
        "the smaller, the less a cell's runs differ.",
    ]
    if open_:
        sd = max(track["cells"][name]["metrics"][PRIMARY]["sd"] or 0.0 for name in (*open_, reference))
        needed = runs_needed(sd, margin, 0.05 / comparisons)
        sentences.append(
            f"For {_names(open_)} this budget cannot tell: about {needed} runs of each cell would find a difference of {margin:g} nats."
        )
    return sentences


def _count(names: Sequence[str], word: str) -> str:
    if not names:
        return f"no cell is {word}"
    return f"{len(names)} {'is' if len(names) == 1 else 'are'} {word} ({_names(names)})"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
