"""Fixtures of several test modules: a small data set of shapes, and a model trained on it for a few seconds."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning  # noqa: F401 (it logs to the stderr that it is imported under: not that of one test, which the next finds closed)
import pytest
import torch

from showattend.cli.main import main
from showattend.data.shapes import write_shapes
from showattend.inference.precision import machine_name

SHARED = Path(os.environ.get("SHOWATTEND_SHARED", Path(__file__).parents[2] / "shared"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CONFIG = Path(__file__).parents[1] / "configs" / "shapes.yaml"


@pytest.fixture(autouse=True, scope="session")
def _float32(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`--precision auto` remembers, also in other processes, that bfloat16 is not faster here: results are compared exactly."""
    os.environ["SHOWATTEND_CACHE"] = str(folder := tmp_path_factory.mktemp("cache"))
    (folder / "precision.json").write_text(json.dumps({machine_name(): 1.0}))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, for one module; the tests are skipped, and say so, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pages are not tested in a browser: pip install playwright")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("pages are not tested in a browser: none is here (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set, small."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), photos={"train": 48, "val": 8, "test": 8})


@pytest.fixture(scope="session")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training run, long enough that the captions are not empty."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"config": CONFIG, "data.root": shapes, "data.cache_dir": folder / "cache", "runs": folder, "name": "run"}
    options |= {
        "trainer.max_epochs": 24,
        "trainer.check_val_every_n_epoch": 12,
        "trainer.enable_progress_bar": "false",
        "trainer.accelerator": "cpu",
    }
    assert main(["fit", *(f"--{name}={value}" for name, value in options.items())]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def model(run: Path) -> Path:
    return run / "model"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must end with status 2 and one line for the error, after any notes, and returns the line."""

    def run_command(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        *notes, error = capsys.readouterr().err.strip().splitlines()
        assert error.startswith("showattend: ")
        assert not any(line.startswith(("showattend: ", "Traceback")) for line in notes)
        return error

    return run_command


@pytest.fixture
def flickr8k() -> Path:
    if not (SHARED / "flickr8k" / "Flickr8k.token.txt").exists():
        pytest.skip("there are no photos of Flickr8k in shared")
    return SHARED / "flickr8k"


@pytest.fixture
def mobilenet_weights() -> Path:
    path = SHARED / "weights" / "mobilenet_v2-imagenet.safetensors"
    if not path.exists():
        pytest.skip("there are no weights of MobileNetV2 in shared")
    return path
