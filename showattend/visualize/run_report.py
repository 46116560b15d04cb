"""The page of `showattend report`: one training run, from its curves to captions that grew from epoch to epoch."""

from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from showattend.data.images import BrokenImage, open_photo
from showattend.files import write_text
from showattend.visualize.line_chart import LineChart, make_line_chart
from showattend.visualize.options import DrawingOptions
from showattend.visualize.run_history import RunHistory
from showattend.visualize.viewer.page import data_url, render_page

SIDE = 640  # pixels of a photo's longer side
SCORES = {"val_bleu4": "BLEU-4", "val_cider_d": "CIDEr-D", "val_rouge_l": "ROUGE-L"}
LOSSES = {"train_loss": "training", "val_loss": "validation"}
BYTES = 2**20


class GrownPhoto(NamedTuple):
    """The viewer's data of a photo whose captions are those of the epochs, and the photo as a data URL."""

    data: dict[str, Any]
    source: str


def write_run_report(path: Path, run: RunHistory) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    photos, lost = _grown_photos(run)
    page = render_page(
        "run.html.j2",
        ("viewer.css", "run.css"),
        ("viewer.js",),
        run=run,
        charts=_charts(run),
        columns=_columns(run),
        facts=_facts(run),
        figures=_figures(run),
        photos=photos,
        lost=lost,
    )
    write_text(path, page)


def _columns(run: RunHistory) -> list[str]:
    """The metrics of the table of epochs; learning rates are in metrics.csv."""
    names = {name: None for metrics in run.epochs.values() for name in metrics if not name.startswith("lr-")}
    return sorted(names, key=lambda name: (not name.startswith("train"), not name.endswith("loss"), name))


def _charts(run: RunHistory) -> list[LineChart]:
    """The losses in one chart, and one for each score."""
    charts = []
    losses = {label: values for name, label in LOSSES.items() if (values := _values(run, name))}
    if losses:
        charts.append(make_line_chart("loss", losses, None))
    for name, label in SCORES.items():
        if values := _values(run, name):
            charts.append(make_line_chart(label, {label: values}, run.best))
    return charts


def _values(run: RunHistory, name: str) -> dict[int, float]:
    return {epoch: metrics[name] for epoch, metrics in run.epochs.items() if name in metrics}


def _figures(run: RunHistory) -> list[tuple[str, float | None, float | None]]:
    """Each validation metric at the best epoch and at the last validated one."""
    if run.best is None:
        return []
    best, last = run.epochs[run.best], run.epochs[run.validated[-1]]
    return [(name, best.get(name), last.get(name)) for name in _columns(run) if name.startswith("val_")]


def _facts(run: RunHistory) -> dict[str, str]:
    """What the figures were measured on, and what they cost."""
    photos, facts = run.about.get("photos", {}), {}
    if "val" in photos:
        facts["measured on"] = f"{photos['val']:,} validation photos" + (f"; {run.about['search']}" if run.about.get("search") else "")
    if "train" in photos:
        facts["trained on"] = f"{photos['train']:,} photos"
    if run.best is not None:
        facts["best epoch"] = f"{run.best + 1} of {max(run.epochs) + 1}, by {run.monitor}"
    if run.seconds:
        facts["time"] = f"{_duration(sum(run.seconds.values()))} in all, {_duration(median(run.seconds.values()))} an epoch"
    for name, label in (("memory", "peak of memory"), ("gpu_memory", "peak of the GPU's memory")):
        if peaks := getattr(run, name):
            facts[label] = f"{max(peaks.values()) / BYTES:,.0f} MiB"
    if "parameters" in run.about:
        facts["trained parameters"] = f"{run.about['parameters']:,}"
    if "device" in run.about:
        facts["device"] = str(run.about["device"])
    return facts


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _grown_photos(run: RunHistory) -> tuple[list[GrownPhoto], list[str]]:
    """The photos with a caption for each epoch, the last first; and the names of those whose file is gone."""
    options, photos, lost = DrawingOptions(), [], []
    by_file: dict[str, dict[int, dict[str, Any]]] = {}
    for epoch, entries in run.grown.items():
        for entry in entries:
            by_file.setdefault(entry["file"], {})[epoch] = entry
    for file, entries_by_epoch in by_file.items():
        newest = entries_by_epoch[max(entries_by_epoch)]
        captions = [{**entry["caption"], "label": f"epoch {epoch + 1}"} for epoch, entry in sorted(entries_by_epoch.items(), reverse=True)]
        try:
            image, _ = open_photo(Path(file))
        except BrokenImage:
            lost.append(newest["name"])
            continue
        data = {
            "photo": {key: newest[key] for key in ("name", "width", "height")},
            "models": [{"name": "", "captions": captions}],
            "style": options.style,
            "upsample": options.upsample,
            "colormap": options.colors(),
        }
        photos.append(GrownPhoto(data, data_url(image, SIDE)))
    return photos, lost
