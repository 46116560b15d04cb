"""`showattend data` and `showattend configs`."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from showattend.cli.main import main
from showattend.data import summary as summary_module
from showattend.data.readers import FOLDER_ORDER
from showattend.training.recipes import recipe_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos, of which b and e have the same bytes, f holds no picture, and one more is listed without a file."""
    (tmp_path / "images").mkdir()
    for index, name in enumerate("abcd"):
        Image.new("RGB", (8, 8), (40 * index, 0, 0)).save(tmp_path / "images" / f"{name}.png")
    shutil.copy(tmp_path / "images" / "b.png", tmp_path / "images" / "e.png")
    (tmp_path / "images" / "f.png").write_text("no picture")
    rows = [
        *("a,a red dog,train", "a,a dog runs on the wide green grass,train", "b,a cat,train", "c,a bird flies,val"),
        *("d,two dogs,test", "e,a cat again,val", "f,a fish,train", "gone,a,train", "g,,train"),
    ]
    table = "image,caption,split\n" + "\n".join(rows).replace(",a", ".png,a").replace("d,two", "d.png,two")
    (tmp_path / "mine.csv").write_text(table)
    return tmp_path


def summary_of(folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    status = main(["data", str(folder), "--json", str(folder / "out.json"), *options])
    return status, json.loads((folder / "out.json").read_text())


def test_the_summary_names_layout_splits_and_what_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, summary = summary_of(folder)
    assert status == 0
    assert summary["layout"] == "csv"
    assert summary["lists"] == [str(folder / "mine.csv")]
    assert summary["splits"]["train"] == {"photos": 3, "captions": 4, "words": 15, "vocabulary": 11}
    assert summary["splits"]["val"]["photos"] == 2
    assert any("2 photos listed without a file" in note for note in summary["notes"])
    assert summary["unreadable"] is None
    printed = capsys.readouterr().out
    assert "has the layout csv" in printed
    assert "listed without a file" in printed


def test_extreme_and_random_captions_are_shown(folder: Path) -> None:
    _, summary = summary_of(folder)
    assert summary["longest"][0]["caption"] == "a dog runs on the wide green grass"
    assert summary["shortest"][0]["words"] == 2
    assert len(summary["random"]) == 7
    assert summary["random"] == summary_of(folder)[1]["random"]
    assert summary["random"] != summary_of(folder, "--seed", "1")[1]["random"]


def test_the_same_bytes_in_two_splits_are_leakage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, summary = summary_of(folder)
    (duplicate,) = summary["duplicates"]
    assert [Path(file).name for file in duplicate["files"]] == ["b.png", "e.png"]
    assert duplicate["splits"] == ["train", "val"]
    assert duplicate["leaks"] is True
    assert "leakage" in capsys.readouterr().out


def test_deep_names_a_photo_that_kills_the_process_that_opens_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photo = summary_module.open_photo

    def killed_by_one(path: Path) -> object:
        if path.name == "a.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return open_photo(path)

    monkeypatch.setattr(summary_module, "open_photo", killed_by_one)
    status, summary = summary_of(folder, "--deep")
    assert status == 1
    assert sum("a.png: the process that decodes it dies (SIGKILL)" in reason for reason in summary["unreadable"]) == 1


def test_deep_opens_every_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, summary = summary_of(folder, "--deep")
    assert status == 1
    assert len(summary["unreadable"]) == 1
    assert "f.png" in summary["unreadable"][0]
    assert "1 photos cannot be read" in capsys.readouterr().out


def test_a_folder_that_is_no_data_set_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(tmp_path)]) == 2
    assert "the nearest layout is" in capsys.readouterr().err


def test_layouts_lists_how_data_sets_lie_without_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["data", "--layouts"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FOLDER_ORDER)
    assert "Flickr8k.token.txt and Flicker8k_Dataset/NAME.jpg" in lines[0]


def test_configs_lists_every_recipe_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_configs_prints_one_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "flickr8k"]) == 0
    assert "embedding_size" in capsys.readouterr().out
    assert main(["configs", "flickr8"]) == 2
    assert "did you mean 'flickr8k'" in capsys.readouterr().err
