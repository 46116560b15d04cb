"""From the rows of a study to its summary: means with intervals, comparisons, importances, and a conclusion in plain words."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from showattend.study.caption_study import (
    OBJECTIVE,
    best_settings,
    find_candidates,
    fresh_runs,
    importances,
    mean_loss,
    planned_rows,
    planned_runs,
    search_rows,
)
from showattend.study.config import METRICS, PRIMARY, CaptionStudy
from showattend.study.statistics import (
    MAX_RUNS,
    POWER,
    SIGNIFICANCE,
    Comparison,
    compare_with_reference,
    homogeneity_p,
    runs_to_decide,
    summarize_sample,
)
from showattend.study.trials import COMPLETE, DIVERGED, FAILED, FINAL, Row

Summary = dict[str, Any]  # what summary.json holds
CONTROL = ("np", "lstm")  # one cell under two names: what is found to differ between them is chance, or a fault of the study
CONTROL_NOTES = {
    "equivalent": "",
    "different": " By chance, or because something is wrong with this study.",
    "undecided": " These runs are too few to show even that a cell is equivalent to itself.",
}
FOCUSED = 0.5  # pointing accuracy: most runs that found their attention have 0.8 and more, most of the others less than 0.4
MATERIALS = {"encoder": "encoders", "data": "data sets"}  # columns of trials.csv with digests of what all runs should share


def summarize_captions(config: CaptionStudy, rows: Mapping[str, Row]) -> Summary:
    """The summary of a captioning study, finished or not: tracks, and in each the cells that have a run."""
    rows = planned_rows(config, rows)
    return {
        "kind": "captions",
        "runs": count_runs(planned_runs(config, rows), rows),
        "tracks": {track: _summarize_track(config, rows, track) for track in config.tracks},
    }


def count_runs(planned: int, rows: Mapping[str, Row]) -> dict[str, int]:
    """How many of the planned runs have a row, and how many of those failed."""
    return {"planned": planned, "finished": len(rows), "failed": sum(row.status == FAILED for row in rows.values())}


def _summarize_track(config: CaptionStudy, rows: Mapping[str, Row], track: str) -> Summary:
    finals, own = final_rows(config, rows, track), {name: row for name, row in rows.items() if row.job.track == track}
    focused = {cell: [row for row in found if row.values.get("test_pointing", 1.0) >= FOCUSED] for cell, found in finals.items()}
    cells = {cell: _summarize_cell(cell, finals.get(cell, []), own) for cell in config.chosen_cells}
    summary = {
        "cells": {cell: content for cell, content in cells.items() if content["runs"]},
        "search": _summarize_search(rows, track),
        "candidates": _summarize_candidates(config, rows, track),
        "settings": len({tuple(sorted(row.job.params.items())) for row in search_rows(rows, track)}),
        "importances": importances(search_rows(rows, track), config.space),
        "materials": {name: _count_digests(own.values(), name) for name in MATERIALS},
        "comparisons": {metric: _compare(config, finals, metric) for metric in METRICS if metric in config.margins},
        "focused_comparisons": _compare(config, focused, PRIMARY) if focused != finals else {},
    }
    return {**summary, "conclusion": conclusion(config, summary)}


def _count_digests(rows: Iterable[Row], name: str) -> dict[str, int]:
    """How many complete runs name each digest of a material; the empty text stands for those of older versions, which name none."""
    return dict(sorted(Counter(row.values.get(name, "") for row in rows if row.status == COMPLETE).items()))


def _compare(config: CaptionStudy, finals: Mapping[str, Sequence[Row]], metric: str) -> dict[str, Summary]:
    """By reference and cell, the comparison of final runs by one metric; references with fewer than two runs are left out."""
    samples, margin = samples_of(finals, metric), config.margins[metric]
    compared = {reference: compare_with_reference(samples, reference, margin=margin) for reference in config.references}
    return {reference: {name: asdict(result) for name, result in results.items()} for reference, results in compared.items() if results}


def final_rows(config: CaptionStudy, rows: Mapping[str, Row], track: str) -> dict[str, list[Row]]:
    """By cell, the final runs, by their seeds; cells without one are left out."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows.values(), key=lambda row: row.job.number):
        if (row.job.track, row.job.phase) == (track, FINAL):
            found.setdefault(row.job.cell, []).append(row)
    return {cell: found[cell] for cell in config.chosen_cells if cell in found}


def samples_of(finals: Mapping[str, Sequence[Row]], metric: str) -> dict[str, list[float]]:
    """The values of a metric by cell; without cells that have none."""
    values = {cell: [row.values[metric] for row in rows if metric in row.values] for cell, rows in finals.items()}
    return {cell: found for cell, found in values.items() if found}


def _summarize_cell(cell: str, finals: Sequence[Row], rows: Mapping[str, Row]) -> Summary:
    """Of a cell in one track.

    Args:
        finals: its final runs
        rows: all runs of the track
    """
    complete = [row for row in finals if row.status == COMPLETE]
    own = [row for row in rows.values() if row.job.cell == cell]
    pointing = [row.values["test_pointing"] for row in complete if "test_pointing" in row.values]
    return {
        "setting": finals[0].job.params if finals else None,
        "metrics": {
            metric: asdict(summarize_sample(values[cell])) for metric in METRICS if cell in (values := samples_of({cell: finals}, metric))
        },
        "hidden_size": complete[0].values["hidden_size"] if complete else None,
        "cell_parameters": complete[0].values["cell_parameters"] if complete else None,
        "parameters": complete[0].values["parameters"] if complete else None,
        "seconds_a_step": median(row.values["seconds_a_step"] for row in complete) if complete else None,
        "pointed": len(pointing),
        "unfocused": sum(value < FOCUSED for value in pointing) if pointing else None,
        "diverged": sum(row.status == DIVERGED for row in own),
        "diverged_finals": sum(row.status == DIVERGED for row in finals),
        "failed": sum(row.status == FAILED for row in own),
        "finals": len(finals),
        "runs": len(own),
    }


def _summarize_search(rows: Mapping[str, Row], track: str) -> dict[str, Summary]:
    """By cell: runs of the search, and the best, median and worst validation loss of those that are complete."""
    losses: dict[str, list[float]] = {}
    for row in search_rows(rows, track):
        losses.setdefault(row.job.cell, []).append(row.values[OBJECTIVE])
    return {
        cell: {"runs": len(found), "best": min(found), "median": median(found), "worst": max(found)}
        for cell, found in sorted(losses.items())
    }


def _summarize_candidates(config: CaptionStudy, rows: Mapping[str, Row], track: str) -> dict[str, list[Summary]]:
    """By cell, its candidates that have fresh runs: number of the setting, losses of the complete runs, their mean, what went wrong."""
    found: dict[str, list[Summary]] = {}
    best = best_settings(config, rows)
    for (place, cell), candidates in find_candidates(config, rows).items():
        for search in candidates if place == track else ():
            if runs := fresh_runs(config, rows, search):
                losses, mean = [row.values[OBJECTIVE] for row in runs if row.status == COMPLETE], mean_loss(runs)
                content = {"number": search.job.number, "losses": losses, "mean": mean if math.isfinite(mean) else None}
                content |= {status: sum(row.status == status for row in runs) for status in (DIVERGED, FAILED)}
                found.setdefault(cell, []).append({**content, "chosen": search.job.params == best.get((place, cell))})
    return found


def conclusion(config: CaptionStudy, track: Summary) -> list[str]:
    """Sentences about the primary metric, computed from the numbers of one track."""
    sentences = []
    for reference, compared in track["comparisons"].get(PRIMARY, {}).items():
        results = {name: Comparison(**result) for name, result in compared.items()}
        sentences += _sentences(reference, results, track, config.margins[PRIMARY])
        if focused := track["focused_comparisons"].get(reference):
            results = {name: Comparison(**result) for name, result in focused.items()}
            verdicts = _verdicts(results, config.margins[PRIMARY])
            undecided = _names(_undecided(results)) or "none"
            sentences.append(
                f"Against {reference}, counting only the runs that learned where to look, {verdicts} Undecided: {undecided}. "
                "This leaves runs out after the fact: it describes, and decides nothing."
            )
    return [*(sentences or ["Not enough final runs to compare any two cells."]), *_cautions(config, track)]


def _sentences(reference: str, results: Mapping[str, Comparison], track: Summary, margin: float) -> list[str]:
    """What was found against one reference."""
    slightly = [name for name, result in results.items() if result.verdict == "equivalent" and result.p_holm < SIGNIFICANCE]
    undecided = _undecided(results)
    detectable = [result.detectable for result in results.values()]
    sentences = [
        f"Against {reference}, {_verdicts(results, margin)}",
        f"These runs would have found differences of {min(detectable):.2g} to {max(detectable):.2g} nats with probability {POWER:g}: "
        "the smaller, the less a cell's runs differ.",
    ]
    if slightly:
        differences = ", ".join(f"{name} {results[name].difference:+.3f}" for name in slightly)
        sentences.append(f"Significantly different and yet within the margin: {differences}.")
    if reference == CONTROL[1] and CONTROL[0] in results:
        control = results[CONTROL[0]]
        sentences.append(
            f"The control: {CONTROL[0]}, which is {CONTROL[1]} under another name, differs from it by {control.difference:+.3f} "
            f"({control.low:+.3f} to {control.high:+.3f}), {control.verdict}." + CONTROL_NOTES[control.verdict]
        )
    if undecided:
        sentences.append(f"For {_names(undecided)} this budget cannot tell. {_budget(reference, undecided, results, track, margin)}")
    return sentences


def _undecided(results: Mapping[str, Comparison]) -> list[str]:
    return [name for name, result in results.items() if result.verdict == "undecided"]


def _verdicts(results: Mapping[str, Comparison], margin: float) -> str:
    """Which cells are better, worse and equivalent."""
    different = {name: result.difference for name, result in results.items() if result.verdict == "different"}
    better, worse = ([name for name, difference in different.items() if (difference < 0) is lower] for lower in (True, False))
    equal = [name for name, result in results.items() if result.verdict == "equivalent"]
    return f"{_count(better, 'better')}, {_count(worse, 'worse')}, and {_count(equal, 'equivalent')} within {margin:g} nats a token."


def _budget(reference: str, undecided: Sequence[str], results: Mapping[str, Comparison], track: Summary, margin: float) -> str:
    """How many runs would decide about cells, if they differ and vary as they do here."""
    sds = {name: track["cells"][name]["metrics"][PRIMARY]["sd"] or 0.0 for name in (*undecided, reference)}
    needed = [
        runs_to_decide((sds[name], sds[reference]), results[name].difference, margin, SIGNIFICANCE / len(results)) for name in undecided
    ]
    known, hard = [count for count in needed if count], [name for name, count in zip(undecided, needed, strict=True) if not count]
    sentences = [f"If they differ and vary as they do here, {max(known):,} runs of each cell would."] if known else []
    if hard:
        only = "Only for" if known else "For"
        sentences.append(
            f"{only} {_names(hard)} not even {MAX_RUNS:,} runs would: the difference is about the margin, or the runs vary too much."
        )
    return " ".join(sentences)


def _cautions(config: CaptionStudy, track: Summary) -> Iterator[str]:
    """What a reader of the verdicts should know."""
    for cell, content in track["cells"].items():
        if content["diverged_finals"]:
            yield f"{content['diverged_finals']} of {content['finals']} final runs of {cell} diverged, and are not in its figures."
        elif cell not in track["search"] and content["diverged"] == config.trials:
            yield f"Every run of {cell} in the search diverged: it has no final run."
        elif any(candidate[FAILED] for candidate in track["candidates"].get(cell, ())):
            yield f"A selection run of {cell} failed: its final runs wait until that is repeated."
    pointing = {cell: content for cell, content in track["cells"].items() if content["unfocused"] is not None}
    unfocused = [f"{cell} {content['unfocused']}" for cell, content in pointing.items() if content["unfocused"]]
    if unfocused:
        hits, runs = ([content[name] for content in pointing.values()] for name in ("unfocused", "pointed"))
        yield (
            f"Final runs that did not learn where to look (pointing accuracy below {FOCUSED:g}): {sum(hits)} of {sum(runs)} "
            f"({_names(unfocused)}). Permutation test of equal shares in all cells: p = {homogeneity_p(hits, runs):.2g}."
        )
        if 0 in hits:
            most = 1 - SIGNIFICANCE ** (1 / min(count for hit, count in zip(hits, runs, strict=True) if not hit))
            yield (
                f"A cell without such a run may still have them in up to {most:.0%} of its runs, and the tests assume nearly normal "
                "losses: verdicts hold for runs that learn where to look."
            )
    chosen = [content["setting"]["hidden_size"] for content in track["cells"].values() if content["setting"]]
    sizes = config.space.hidden_size
    for name, bound, beyond in (("smallest", min(sizes), "smaller"), ("largest", max(sizes), "larger")):
        if len(set(sizes)) > 1 and bound in chosen:
            count = f"{chosen.count(bound)} of {len(chosen)} cells"
            yield f"{count} did best with the {name} size, {bound}: {beyond} ones may be better."
    for name, digests in track["materials"].items():
        if len(digests) > 1:
            unnamed = f", and {digests['']} runs that name none" if "" in digests else ""
            yield (
                f"Different {MATERIALS[name]} in the column `{name}` of trials.csv: {len(digests) - ('' in digests)}{unnamed}. "
                "A part of what differs between two runs may be due to that."
            )


def _count(names: Sequence[str], word: str) -> str:
    if not names:
        return f"no cell is {word}"
    return f"{len(names)} {'is' if len(names) == 1 else 'are'} {word} ({_names(names)})"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
