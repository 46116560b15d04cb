"""Pages in a browser: what they show and do wrong, and the page of `showattend app` in a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factories import untrained_model
from numpy.typing import NDArray
from PIL import Image

from showattend.app import ModelSet, ServerOptions, serve
from showattend.inference import Caption, Captioner
from showattend.visualize import DrawingOptions


def watch_page(page: Any, problems: list[str], allowed: tuple[str, ...]) -> None:
    """Collect what a page does wrong in a browser: errors, warnings, dialogs, and requests to other addresses than the allowed ones."""
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: None if request.url.startswith(allowed) else problems.append(request.url))


def stage_pixels(page: Any) -> NDArray[np.float64]:
    """What a page, or a frame, shows of the viewer's first photo, as greys."""
    stage = page.locator(".stage").first
    stage.page.wait_for_timeout(60)
    return np.asarray(Image.open(io.BytesIO(stage.screenshot())).convert("L"), dtype=float)


def brightest_point(page: Any, size: tuple[int, int]) -> tuple[float, float]:
    """Where the viewer's photo is brightest, in the photo's pixels."""
    picture = stage_pixels(page).copy()
    picture[:14] = picture[-14:] = picture[:, :14] = picture[:, -14:] = 0  # the page shows at the edges and round corners
    y, x = np.unravel_index(picture.argmax(), picture.shape)
    bright = picture >= picture.max() - 1
    ys, xs = np.nonzero(bright) if bright.mean() < 0.2 else ([y], [x])
    return float((np.mean(xs) + 0.5) / picture.shape[1] * size[0]), float((np.mean(ys) + 0.5) / picture.shape[0] * size[1])


def serious_faults(page: Any) -> list[str]:
    """What axe-core finds on a page, and in its frames, that keeps people out."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    found = [fault for frame in page.frames for fault in axe.run(frame).response["violations"]]
    faults = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {node['target']} {node['html'][:200]}" for fault in faults for node in fault["nodes"]]


def corner_locations(grid_shape: tuple[int, int]) -> list[int]:
    """One cell from each corner of the grid, from the upper left on, inside of it."""
    rows, columns = grid_shape
    return [row * columns + column for row in (1, rows - 2) for column in (1, columns - 2)]


class LooksAtCorners(Captioner):
    """Its words are those of the model; alpha is 1 at one corner of the photo after another."""

    def caption(self, photo: Any, config: Any = None, *, details: bool = False, gates: bool = False) -> Caption:
        if Path(photo).name == "bug.png":
            raise RuntimeError("a secret of this machine")
        caption = super().caption(photo, config, details=details, gates=gates)
        alphas = torch.zeros_like(caption.alphas)
        for word, alpha in enumerate(alphas):
            alpha[corner_locations(caption.grid_shape)[word % 4]] = 1.0
        return replace(caption, alphas=alphas)


def corner_models() -> ModelSet:
    """Two models that were never trained, for the page of `showattend app`."""
    models = {}
    for cell in ("lstm", "gru"):
        model = untrained_model(cell=cell)
        models[cell] = LooksAtCorners(replace(model, generation=replace(model.generation, min_length=4, max_length=8)), "cpu")
    return ModelSet(models)


def serve_corner_models(*examples: str) -> None:
    """Serve the page of `showattend app` with these models until Ctrl-C; the address is printed."""
    options = ServerOptions(max_upload=1, browser=False)
    with suppress(KeyboardInterrupt):
        serve(corner_models(), DrawingOptions(), [Path(path) for path in examples], options, lambda url: print(url, flush=True))


@contextmanager
def served_page(*examples: Path) -> Iterator[str]:
    """The address of the page, which a process of its own serves: Gradio leaves event loops and sockets open."""
    pytest.importorskip("gradio", reason="the page is not tested: pip install 'showattend[app]'")
    code = "import sys; from pages import serve_corner_models; serve_corner_models(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}
    command = [sys.executable, "-c", code, *map(str, examples)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
