"""The demonstration: a small one always, the full one with its targets as a slow test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from showattend.cli.main import main
from showattend.data.shapes.grammar import describe_scene
from showattend.data.shapes.scene import Scene, Shape
from showattend.demo import CONFIG
from showattend.grounding import compare_with_scenes
from showattend.inference import Caption

RED = Shape("circle", "red", "large", 24, 72, 19)
BLUE = Shape("square", "blue", "small", 104, 72, 14)
SCENE = Scene((RED, BLUE), (50, 50, 50), "plain")


def caption(text: str, attended: dict[int, tuple[int, int]]) -> Caption:
    words = text.split()
    alphas = torch.full((len(words), 64), 0.001)
    for word, (row, column) in attended.items():
        alphas[word, 8 * row + column] = 1.0
    return Caption(words, 0.0, alphas, (8, 8), (0, 0, 128, 128), (0, 0, 128, 128))


def test_attention_on_the_named_shapes_scores_1_and_off_them_0() -> None:
    text = "a red circle left of a blue square"
    on, off = {2: (4, 1), 7: (4, 6)}, {2: (0, 7), 7: (0, 0)}
    assert compare_with_scenes({"x": caption(text, on)}, {"x": SCENE}).pointing == 1.0
    assert compare_with_scenes({"x": caption(text, off)}, {"x": SCENE}).pointing == 0.0
    assert compare_with_scenes({"x": caption("a green circle", {2: (4, 1)})}, {"x": SCENE}).pointing == 0.0, "the scene has nothing green"


def test_statements_score_is_the_share_of_true_statements() -> None:
    import random

    truth = compare_with_scenes({"x": caption("a red circle right of a green square", {})}, {"x": SCENE})
    assert truth.statements == {"kind": 1.0, "color": 0.5, "relation": 0.0, "all": 0.6}
    for description in describe_scene(SCENE, random.Random(0)):
        assert compare_with_scenes({"x": caption(" ".join(description.words), {})}, {"x": SCENE}).statements["all"] == 1.0


def test_the_demo_draws_trains_captions_scores_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(CONFIG.read_text())
    config["trainer"] |= {"max_epochs": 20, "check_val_every_n_epoch": 20, "enable_progress_bar": False}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr("showattend.demo.CONFIG", tmp_path / "small.yaml")
    monkeypatch.setattr("showattend.data.shapes.dataset.PHOTOS", {"train": 48, "val": 4, "test": 6})
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    for expected in ("the model", "an oracle", "blind", "statements that are true", "nouns with the peak of alpha", "Try next"):
        assert expected in printed
    assert len(list((tmp_path / "demo" / "figures").glob("*.png"))) == 4
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert metrics["oracle"]["bleu4"] > metrics["blind"]["bleu4"]
    assert (tmp_path / "demo" / "run" / "model" / "model.safetensors").exists()


@pytest.mark.parametrize("folder", ["", ".", "/"])
def test_a_folder_without_a_name_is_refused_before_anything_is_drawn(folder: str, refused: Callable[..., str]) -> None:
    assert "the folder of a run needs a name" in refused("demo", "--out", folder)


@pytest.mark.slow
def test_the_full_demo_reaches_its_targets(tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert metrics["model"]["bleu4"] >= 0.9 * metrics["oracle"]["bleu4"]
    assert metrics["statements"]["all"] >= 0.85
    assert metrics["pointing"] >= 0.75
