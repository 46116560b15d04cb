"""`showattend app`: what its command line hands on, and what it refuses before the page is served."""

import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import untrained_model
from PIL import Image

from showattend.cli.main import main
from showattend.pretrained.saving import save_pretrained
from showattend.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with one vocabulary, and one with another."""
    folder = tmp_path_factory.mktemp("runs")
    for cell in ("lstm", "gru"):
        save_pretrained(untrained_model(cell=cell), folder / cell / "model")
    save_pretrained(replace(untrained_model(), vocabulary=Vocabulary.build([["a", "blue", "star"]])), folder / "other" / "model")
    return folder


def test_models_examples_and_options_reach_the_server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}

    def serve(models: Any, drawing: Any, examples: Any, options: Any, announce: Any) -> None:
        served.update(models=models.names, style=drawing.style, examples=[path.name for path in examples], options=options)
        raise KeyboardInterrupt

    monkeypatch.setattr("showattend.app.serve", serve)
    for n in range(12):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{n:02}.png")
    models = [str(folder / cell / "model") for cell in ("lstm", "gru")]
    options = ["--style", "heat", "--port", "7999", "--max-upload", "5", "--no-browser"]
    assert main(["app", "--model", *models, "--examples", str(tmp_path), *options]) == 0
    assert (served["models"], served["style"]) == (["lstm", "gru"], "heat")
    assert served["examples"] == [f"{n:02}.png" for n in range(8)]
    assert (served["options"].port, served["options"].max_upload, served["options"].browser) == (7999, 5, False)
    assert (served["options"].host, served["options"].share) == ("127.0.0.1", False)


def test_without_gradio_one_line_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "showattend.app.page", raising=False)
    assert "pip install 'showattend[app]'" in refused("app", "--model", folder / "lstm" / "model", "--no-browser")


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    pytest.importorskip("gradio", reason="pip install 'showattend[app]'")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "showattend", "app", "--model", folder / "lstm" / "model", "--no-browser", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert f"port {port} of 127.0.0.1 is taken" in ended.stderr.splitlines()[-1]


def test_models_of_other_words_are_refused_beside_each_other(folder: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    models = [folder / name / "model" for name in ("lstm", "other")]
    assert "lstm and other have different vocabularies" in refused("app", "--model", *models, "--no-browser")
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    assert "different vocabularies" in refused("attend", tmp_path / "photo.png", "--models", *models, "--out", tmp_path / "x.html")


def test_contour_lines_are_refused_for_hard_attention_that_takes_one_location(tmp_path: Path, refused: Callable[..., str]) -> None:
    save_pretrained(untrained_model(attention="hard"), tmp_path / "model")
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    arguments = [tmp_path / "photo.png", "--model", tmp_path / "model", "--out", tmp_path / "x.png", "--attention-mode", "argmax"]
    assert "contour lines do not fit hard attention" in refused("attend", *arguments, "--style", "contour")
    assert main(["attend", *map(str, arguments), "--style", "boxes"]) == 0
