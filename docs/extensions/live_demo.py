"""The live demo of the site: the page that `showattend export --format web` makes of the demo's model, at each build."""

import html
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from showattend.errors import InputError
from showattend.export import export_page
from showattend.files import write_text
from showattend.pretrained import load_pretrained

MODEL = Path(__file__).parents[2] / "runs" / "demo" / "run" / "model"


def render(app: Sphinx, error: Exception | None) -> None:
    """Write the page into _static/live; where there is no model, or no network for what the page runs on, a page that says so."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "live"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # a page of an earlier build, which perhaps said that there is none
        export_page(load_pretrained(MODEL), folder)
    except InputError as reason:
        text = f"This site was built without its live demo: {html.escape(str(reason))}"
        write_text(folder / "index.html", f"<!doctype html><title>No demo</title><p>{text}\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Export when the static files have been copied."""
    app.connect("build-finished", render)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
