"""`showattend attend` and `score --out`: files by their ending, folders with an index, models beside each other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from factories import untrained_model
from PIL import Image

from showattend.cli.main import main
from showattend.pretrained.saving import save_pretrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that were never trained, of two cells."""
    folder = tmp_path_factory.mktemp("runs")
    for cell in ("lstm", "gru"):
        model = untrained_model(cell=cell)
        save_pretrained(replace(model, generation=replace(model.generation, min_length=3)), folder / cell / "model")
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "a <b>.jpg"
    path.parent.mkdir()
    Image.effect_noise((90, 60), 60).convert("RGB").save(path)
    return path


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        (".html", b"<!DOCTYPE html>"),
        (".png", b"\x89PNG"),
        (".pdf", b"%PDF"),
        (".svg", b"<?xml"),
        (".webp", b"RIFF"),
        (".gif", b"GIF8"),
        (".json", b'{"photo"'),
    ],
)
def test_the_ending_decides_what_is_written(ending: str, start: bytes, folder: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / f"out{ending}"
    assert main(["attend", str(photo), "--model", str(folder / "lstm" / "model"), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(start)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_json_holds_the_details_of_every_caption_and_model(folder: Path, photo: Path, tmp_path: Path) -> None:
    models = [str(folder / cell / "model") for cell in ("lstm", "gru")]
    arguments = ["--num-captions", "2", "--gates", "--out", str(tmp_path / "x.json")]
    assert main(["attend", str(photo), "--models", *models, *arguments]) == 0
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["photo"] == {"name": "a <b>.jpg", "width": 90, "height": 60}
    assert [model["name"] for model in data["models"]] == ["lstm", "gru"]
    for model in data["models"]:
        for caption in model["captions"]:
            words = len(caption["words"])
            assert [len(caption[name]) for name in ("alphas", "betas")] == [words, words]
            assert len(caption["log_probs"]) == words + 1
            assert caption["gates"]


def test_several_photos_go_to_a_folder_with_an_index_and_a_broken_one_is_named(
    folder: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photo.parent / "broken.png").write_text("no picture")
    Image.new("RGB", (50, 80)).save(photo.parent / "index.png")
    Image.new("RGB", (50, 80)).save(photo.with_suffix(".png"))
    out = tmp_path / "maps"
    assert main(["attend", str(photo.parent), "--model", str(folder / "lstm" / "model"), "--out", str(out)]) == 1
    assert "broken.png: not a picture" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["a <b>-2.html", "a <b>.html", "index-2.html", "index.html"]
    index = (out / "index.html").read_text()
    assert index.count("<li>") == 3
    assert "broken.png" in index


def test_a_folder_of_figures(folder: Path, photo: Path, tmp_path: Path) -> None:
    arguments = ["--model", str(folder / "lstm" / "model"), "--out", str(tmp_path / "maps"), "--format", "png", "--words", "1,3"]
    assert main(["attend", str(photo), *arguments]) == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a <b>.png", "index.html"]


def test_bad_options_are_one_line_before_any_work(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (50, 80)).save(photo.parent / "b.png")
    cases = [
        (["--out", "x.doc"], "end its name with"),
        (["--out", "x"], "end its name with"),
        (["--out", "x.png", "--style", "het"], "did you mean 'heat'"),
        (["--out", "x.png", "--colormap", "infernal"], "did you mean 'inferno'"),
        (["--out", "maps", "--format", "doc"], "end its name with"),
        (["--out", "x.png", "--num-captions", "3"], "shows one caption"),
        (["--out", "maps", "--format", "gif", "--num-captions", "2"], "shows one caption"),
        (["--out", "x.html", "--format", "png"], "--out x.html is one file, and --format"),
    ]
    for options, message in cases:
        assert main(["attend", str(photo), "--model", "nowhere", *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert main(["attend", str(photo.parent), "--model", "nowhere", "--out", str(tmp_path / "x.html")]) == 2
    assert "give a folder" in capsys.readouterr().err


def test_score_shows_several_captions_on_a_page(folder: Path, photo: Path, tmp_path: Path) -> None:
    model = str(folder / "lstm" / "model")
    assert main(["score", str(photo), "a red star", "a star", "--model", model, "--out", str(tmp_path / "x.json")]) == 0
    (shown,) = json.loads((tmp_path / "x.json").read_text())["models"]
    assert [caption["words"] for caption in shown["captions"]] == [["a", "red", "star"], ["a", "star"]]
