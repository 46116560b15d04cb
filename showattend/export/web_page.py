"""A folder of static files that captions photos in a browser: the graphs, onnxruntime-web, the viewer and a page around them."""

import json
from importlib.resources import files
from pathlib import Path

from showattend.export.folder import check_export, exported_files, write_model
from showattend.export.ort_web import ort_web_files
from showattend.export.page_files import ASSETS, OPTIONS, VIEWER
from showattend.files import atomic_folder
from showattend.pretrained import Pretrained
from showattend.runtime.beam_search import check_supported
from showattend.visualize import DrawingOptions
from showattend.visualize.viewer.page import read_asset


def export_page(model: Pretrained, folder: Path, *, int8: bool = False, ort_web: Path | None = None) -> None:
    """Write the folder, complete or not at all; any web server can serve it.

    Args:
        int8: see `export_model`
        ort_web: see `ort_web_files`

    Raises:
        InputError: see `export_model` and `ort_web_files`; or the model's own search is not one of plain beams.
    """
    check_export(folder, "web", int8=int8)
    check_supported(model.generation)
    runtime = ort_web_files(ort_web)
    with atomic_folder(folder, exported_files(folder)) as temporary:
        write_model(model, temporary, "onnx", int8=int8)
        add_page(temporary, runtime)


def add_page(folder: Path, runtime: dict[str, bytes]) -> None:
    """Add the page, the viewer and onnxruntime-web to a folder with an exported model."""
    for name, content in runtime.items():
        (folder / name).write_bytes(content)
    for name in ASSETS:
        (folder / name).write_bytes((files("showattend.export") / "web" / name).read_bytes())
    for name in VIEWER:
        (folder / name).write_text(read_asset(name), encoding="utf-8")
    drawing = DrawingOptions()
    options = {"style": drawing.style, "upsample": drawing.upsample, "colormap": drawing.colors()}
    (folder / OPTIONS).write_text(json.dumps(options) + "\n")
