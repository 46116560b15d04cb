"""The files of a study: trials.csv with a row for each run, summary.json, report.html, which needs no other file, and its figures."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from showattend.files import write_text
from showattend.study.config import EQUAL_PARAMETERS, EQUAL_SIZE, METRICS, PRIMARY, CaptionStudy, StudyConfig
from showattend.study.config_file import plain_config
from showattend.study.memory_summary import summarize_memory
from showattend.study.row_values import SETTINGS
from showattend.study.summary import Summary, summarize_captions
from showattend.study.trials import Row
from showattend.study.trials_table import TABLE, write_trials
from showattend.visualize.study import ForestRow, delays_figure, forest_figure, gradients_figure, importance_figure, svg_text

FIGURES = "figures"  # folder of the report's figures as files
GRADIENT_CELLS = ("elman", "clockwork", "ligru", "lstm", "peephole", "nfg", "noaf", "gru", "mgu", "janet", "slstm", "min_gru")


class Picture(NamedTuple):
    """A figure of the report as an SVG, which is a file of its own too."""

    name: str
    title: str
    svg: str

    @property
    def url(self) -> str:
        """A data URL, so that the page needs no other file."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


class Table(NamedTuple):
    """A table of the report; the first entry of a row is its heading."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """A part of the report: sentences, figures, tables."""

    title: str
    conclusion: Sequence[str]
    figures: Sequence[Picture]
    tables: Sequence[Table]


def write_results(config: StudyConfig, rows: Mapping[str, Row], folder: Path) -> Summary:
    """Write trials.csv, summary.json, report.html and its figures from what is finished so far.

    Returns:
        the summary

    Raises:
        InputError: a file cannot be written.
    """
    write_trials(folder / TABLE, rows.values())
    if isinstance(config, CaptionStudy):
        title, summary = "Which cell captions best?", summarize_captions(config, rows)
        sections = caption_sections(config, summary)
    else:
        title, summary = "Over which distance does a cell remember?", summarize_memory(config, rows)
        sections = [memory_section(summary)]
    write_text(folder / "summary.json", json.dumps({"config": plain_config(config), **summary}, indent=1) + "\n")
    environment = Environment(
        loader=PackageLoader("showattend.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("study.html.j2").render(
        title=title,
        runs=summary["runs"],
        sections=sections,
        config=json.dumps(plain_config(config), indent=1),
    )
    write_text(folder / "report.html", page)
    for picture in (picture for section in sections for picture in section.figures):
        write_text(folder / FIGURES / f"{picture.name}.svg", picture.svg)
    return summary


FANOVA_NOTE = (
    "Shares of the variance of the validation loss over the search space as it was drawn from; runs that diverged are left out. All "
    "cells tried the same {} settings: with so few, what one hyperparameter explains is hard to tell from what others had by chance."
)


def caption_sections(config: CaptionStudy, summary: Summary) -> list[Section]:
    """One section for each track, and one for the hyperparameters."""
    titles = {EQUAL_SIZE: "Equal hidden sizes", EQUAL_PARAMETERS: f"Equal parameters (as {config.references[0]})"}
    sections = [
        Section(titles[track], content["conclusion"], _forests(config, track, content), _tables(config, content))
        for track, content in summary["tracks"].items()
    ]
    searched = {track: content for track, content in summary["tracks"].items() if content["importances"]}
    if searched:
        shares = {track: content["importances"] for track, content in searched.items()}
        figure = Picture("importance", "Variance explained (fANOVA), mean of each cell taken off", svg_text(importance_figure(shares)))
        settings = max(content["settings"] for content in searched.values())
        sections.append(Section("What matters in the search", [FANOVA_NOTE.format(settings)], [figure], ()))
    return sections


def _forests(config: CaptionStudy, name: str, track: Summary) -> list[Picture]:
    figures = []
    parts = [(metric, "", by_reference) for metric, by_reference in track["comparisons"].items()]
    parts.insert(1, (PRIMARY, "focused", track["focused_comparisons"]))
    for metric, kind, by_reference in parts:
        for reference, compared in by_reference.items():
            rows = [ForestRow(cell, *(entry[key] for key in ("difference", "low", "high", "verdict"))) for cell, entry in compared.items()]
            figure = forest_figure(rows, reference, METRICS[metric], config.margins[metric])
            title = f"{METRICS[metric]} against {reference}" + ", only runs that learned where to look" * bool(kind)
            figures.append(Picture("-".join(filter(None, (name, metric, reference, kind))), title, svg_text(figure)))
    return figures


def _tables(config: CaptionStudy, track: Summary) -> list[Table]:
    tables = []
    if track["cells"]:
        header = [
            "cell",
            *METRICS.values(),
            "hidden",
            "parameters of the cell",
            "processor ms a step",
            "did not learn where to look",
            "diverged",
            "failed",
            "runs",
        ]
        tables.append(
            Table("Test split, mean and 95% interval over the seeds", header, [_cell_row(*item) for item in track["cells"].items()])
        )
        chosen = {cell: content["setting"] for cell, content in track["cells"].items() if content["setting"]}
        settings = [[cell, *(_three_digits(setting[name]) for name in SETTINGS)] for cell, setting in chosen.items()]
        tables.append(Table("Best setting of each cell, by validation loss", ["cell", *SETTINGS], settings))
    for metric, by_reference in track["comparisons"].items():
        for reference, compared in by_reference.items():
            title = f"{METRICS[metric]} against {reference}: margin {config.margins[metric]:g}"
            tables.append(Table(title, COMPARISON_HEADER, [_comparison_row(*item) for item in compared.items()]))
    if track["search"]:
        rows = [
            [cell, *(f"{found[name]:.4f}" for name in ("best", "median", "worst")), str(found["runs"])]
            for cell, found in track["search"].items()
        ]
        tables.append(Table("Random search: validation loss", ["cell", "best", "median", "worst", "complete runs"], rows))
    if track["candidates"]:
        candidates = [(cell, candidate) for cell, found in track["candidates"].items() for candidate in found]
        header = ["cell", "number of the setting", "mean", "each fresh run", "diverged", "failed", "chosen"]
        tables.append(Table("Candidates: validation loss", header, [_candidate_row(*item) for item in candidates]))
    return tables


COMPARISON_HEADER = (
    "cell",
    "difference",
    "95% interval, unadjusted",
    "p",
    "p (Holm)",
    "Hedges' g",
    "detectable",
    "p (TOST, Holm)",
    "verdict",
)


def _cell_row(cell: str, content: Mapping[str, Any]) -> list[str]:
    metrics = [_interval(content["metrics"].get(metric)) for metric in METRICS]
    seconds = content["seconds_a_step"]
    sizes = [str(content["hidden_size"] or ""), f"{content['cell_parameters']:,}" if content["cell_parameters"] else ""]
    counts = ["" if content[name] is None else str(content[name]) for name in ("unfocused", "diverged", "failed", "runs")]
    return [cell, *metrics, *sizes, f"{1000 * seconds:.0f}" if seconds else "", *counts]


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _candidate_row(cell: str, candidate: Mapping[str, Any]) -> list[str]:
    mean = "" if candidate["mean"] is None else f"{candidate['mean']:.4f}"
    counts = [str(candidate[name] or "") for name in ("diverged", "failed")]
    return [
        cell,
        str(candidate["number"]),
        mean,
        ", ".join(f"{loss:.3f}" for loss in candidate["losses"]),
        *counts,
        "yes" if candidate["chosen"] else "",
    ]


def _interval(sample: Mapping[str, Any] | None) -> str:
    if sample is None:
        return ""
    if sample["low"] is None:
        return f"{sample['mean']:.4f}"
    return f"{sample['mean']:.4f} ({sample['low']:.4f} to {sample['high']:.4f})"


def _comparison_row(cell: str, result: Mapping[str, Any]) -> list[str]:
    interval = f"{result['low']:+.4f} to {result['high']:+.4f}"
    p_values = [f"{result[name]:.3g}" for name in ("p", "p_holm")]
    effect = "" if result["effect"] is None else f"{result['effect']:+.2f}"
    rest = [effect, f"{result['detectable']:.4f}", f"{result['p_equivalence']:.3g}", result["verdict"]]
    return [cell, f"{result['difference']:+.4f}", interval, *p_values, *rest]


def memory_section(summary: Summary) -> Section:
    """Delays and gradient norms."""
    tasks = {task: {cell: content["learned"] for cell, content in cells.items()} for task, cells in summary["tasks"].items() if cells}
    figures = []
    if tasks:
        figures.append(Picture("delays", "Share of the seeds that learn each delay", svg_text(delays_figure(tasks, summary["delays"]))))
    if summary["gradients"]:
        chosen = {cell: summary["gradients"][cell] for cell in GRADIENT_CELLS if cell in summary["gradients"]} or summary["gradients"]
        title = "Gradient of the last output by an earlier state, before and after training"
        figures.append(Picture("gradients", title, svg_text(gradients_figure(chosen))))
    tables = [
        Table(f"{task}: longest delay learned", ["cell", "median", "each seed"], [_delay_row(*item) for item in cells.items()])
        for task, cells in summary["tasks"].items()
        if cells
    ]
    return Section("Memory", summary["conclusion"], figures, tables)


def _delay_row(cell: str, content: Mapping[str, Any]) -> list[str]:
    return [cell, f"{content['median']:g}", ", ".join(map(str, content["longest"]))]
