"""`showattend caption`: photos and files with unusual names, files of captions, and options that are refused."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from caption_command import command
from factories import rewrite_vocabulary
from PIL import Image

from showattend.cli.caption_files import CaptionFiles
from showattend.cli.main import main


def test_names_that_are_no_text_lose_nothing(
    captioner: Path, photos: Path, outputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [b"m_\xff.png", b"line\nbreak.png", b"\x1b[31mred\t.png", b"\xe2\x80\xae.png", b"n" * 251 + b".png", b'comma, "quote".png']
    for path in photos.iterdir():
        path.unlink()
    for name in names:
        Image.new("RGB", (20, 20)).save(os.fsdecode(os.fsencode(photos) + b"/" + name), "PNG")
    assert main(command(photos, captioner, outputs)) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(names)
    assert "\x1b" not in printed.out
    rows = json.loads(outputs["json"].read_text())
    assert {os.fsencode(row["file"]).rpartition(b"/")[2] for row in rows} == set(names)
    assert main(command(photos, captioner, outputs, "--resume")) == 0
    assert capsys.readouterr().out == ""
    with outputs["csv"].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(names)


def test_folders_say_what_they_skip(captioner: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "captions.TXT").write_text("a")
    (photos / ".hidden").write_text("a")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "0.png").rename(photos / "0.jfif")
    assert main(command(photos, captioner, {})) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 6
    assert printed.err.startswith("not taken for photos, of what folders hold: .txt (1), pipes")


def test_one_file_cannot_hold_two_formats(captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(photos, captioner, {"csv": tmp_path / "a", "json": tmp_path / "a"})) == 2
    assert "two formats to one file" in capsys.readouterr().err


def test_a_name_that_is_too_long_is_one_line(captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command("a" * 300 + ".png", captioner, {})) == 2
    assert main(command(photos, captioner, {"csv": tmp_path / ("a" * 300)})) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert "choose a shorter name" in error[1]


def test_files_are_only_made_with_the_first_caption(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), CaptionFiles({"csv": tmp_path / "new" / "a.csv"}):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_photos_of_one_name_get_ids_of_their_own_and_a_line(
    captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos, tmp_path / "more" / "photos")
    out = {"coco": tmp_path / "out.json"}
    assert main(command(tmp_path, captioner, out)) == 0
    assert "12 photos share a name with others" in capsys.readouterr().err
    ids = [row["image_id"] for row in json.loads(out["coco"].read_text())]
    assert len(set(ids)) == 12
    assert {"more/photos/5.png", f"{tmp_path.name}/photos/5.png"} <= set(ids)


def test_txt_writes_a_text_beside_each_photo_and_keeps_those_that_exist(
    captioner: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "2.txt").write_text("by hand\n")
    assert main(command(photos, captioner, {}, "--txt")) == 0
    printed = capsys.readouterr()
    assert "1 photos have a text file beside them, which is kept" in printed.err
    captions = {Path(name).stem: caption for name, caption in (line.split("\t") for line in printed.out.splitlines())}
    assert len(captions) == 5
    for stem, caption in captions.items():
        assert (photos / f"{stem}.txt").read_text() == f"{caption}\n"
    assert (photos / "2.txt").read_text() == "by hand\n"
    assert main(command(photos, captioner, {}, "--txt")) == 0
    assert "6 of 6 photos are in text files beside them already" in capsys.readouterr().err


def test_two_photos_may_not_share_a_text_file(captioner: Path, photos: Path, refused: Callable[..., str]) -> None:
    shutil.copy(photos / "0.png", photos / "0.jpg")
    assert "would share the text file" in refused(*command(photos, captioner, {}, "--txt"))
    assert not list(photos.glob("*.txt"))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_dash_reads_paths_from_standard_input(
    end: bytes, captioner: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = shutil.copy(photos / "0.png", photos / "a [b]*.png")
    monkeypatch.setattr("showattend.cli.from_args.READ_BYTES", len(os.fsencode(odd)) + 1)  # names cross the ends of blocks
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(end.join(os.fsencode(path) for path in (odd, photos / "1.png")) + end)))
    assert main(command("-", captioner, {})) == 0
    assert [Path(line.split("\t")[0]).name for line in capsys.readouterr().out.splitlines()] == ["a [b]*.png", "1.png"]


def test_a_device_that_is_not_there_is_one_line(captioner: Path, photos: Path, refused: Callable[..., str]) -> None:
    assert "unknown device 'gpu': give cpu, cuda, mps or auto" in refused(*command(photos, captioner, {}, "--device", "gpu"))
    assert "there is no device 'cuda:77' here" in refused(*command(photos, captioner, {}, "--device", "cuda:77"))
    assert "cannot be generated on the device 'meta'" in refused(*command(photos, captioner, {}, "--device", "meta"))


def test_words_of_a_stranger_s_model_cannot_write_to_the_terminal(
    captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(captioner, tmp_path / "model")
    words = json.loads((model / "vocabulary.json").read_text())
    rewrite_vocabulary(model, [word if word.startswith("<") else f"\x1b[2J{word}\n\u202e" for word in words])
    assert main(command(photos, model, {}, "--min-length", "2")) == 0
    assert main(["attend", str(photos / "0.png"), "--model", str(model), "--out", str(tmp_path / "o.json"), "--min-length", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert sum("\\x1b[2J" in line for line in lines) == 7
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_a_limit_on_memory_that_the_libraries_do_not_fit_into_is_one_line() -> None:
    limited = ["bash", "-c", 'ulimit -v 524288; exec "$0" "$@"', sys.executable, "-m", "showattend"]
    ended = subprocess.run([*limited, "caption", "photo.jpg", "--model", "model"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "showattend: the limit on memory, 0.5 GiB, is too low to load the libraries: raise ulimit -v\n"


def test_shards_caption_each_photo_exactly_once(
    captioner: Path, photos: Path, outputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "more").mkdir()
    shutil.copy(photos / "0.png", photos / "more" / "0.png")  # a name that two photos share
    assert main(command(photos, captioner, {"coco": outputs["coco"]})) == 0
    whole = json.loads(outputs["coco"].read_text())
    rows = []
    for part in (1, 2, 3):
        file = outputs["coco"].with_name(f"part{part}.coco")
        assert main(command(photos, captioner, {"coco": file}, "--shard", f"{part}/3")) == 0
        rows += json.loads(file.read_text())
    assert sorted(rows, key=str) == sorted(whole, key=str)
    for nonsense in ("0/3", "4/3", "2", "a/b"):
        with pytest.raises(SystemExit):
            main(command(photos, captioner, {}, "--shard", nonsense))
    assert "is no part I/N with I from 1 to N, such as 2/8" in capsys.readouterr().err
