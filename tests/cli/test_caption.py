"""`showattend caption` and `evaluate`: captions that were found are never lost, and the work goes on from there."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from factories import untrained_model
from PIL import Image

from showattend.cli.caption_files import CaptionFiles
from showattend.cli.main import main
from showattend.inference import Captioner
from showattend.pretrained import save_pretrained

KINDS = ("json", "csv", "coco")


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained") / "model"
    save_pretrained(untrained_model(), folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (20, 20), (40 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    return {kind: tmp_path / f"out.{kind}" for kind in KINDS}


def command(photos: object, model: Path, outputs: dict[str, Path], *more: str) -> list[str]:
    files = [argument for kind, path in outputs.items() for argument in (f"--{kind}", str(path))]
    return ["caption", str(photos), "--model", str(model), "--workers", "0", "--batch-size", "1", *files, *more]


def files_of(outputs: dict[str, Path]) -> list[list[str]]:
    """The photos in the JSON, the CSV and the COCO file."""
    with outputs["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        [Path(row["file"]).name for row in json.loads(outputs["json"].read_text())],
        [Path(row["file"]).name for row in rows],
        [row["image_id"] for row in json.loads(outputs["coco"].read_text())],
    ]


def without_scores(path: Path) -> str:
    """A file's content with all numbers that batches and threads may round otherwise replaced."""
    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", "#", path.read_text())


def interrupt_after(count: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let captioning fail behind so many photos."""
    real = Captioner.caption_files

    def interrupted(self: Captioner, paths: Any, *args: Any, **options: Any) -> Iterator[Any]:
        for number, result in enumerate(real(self, paths, *args, **options)):
            if number == count:
                raise error
            yield result

    monkeypatch.setattr(Captioner, "caption_files", interrupted)


NAMES = [f"{number}.png" for number in range(6)]


def test_ctrl_c_keeps_what_was_found_and_resume_goes_on(
    captioner: Path, photos: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(4, KeyboardInterrupt(), patched)
        assert main(command(photos, captioner, outputs)) == 130
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert error[0].startswith("showattend: stopped; the captions of 4 photos are kept in")
    assert "--resume goes on" in error[0]
    assert files_of(outputs) == [NAMES[:4]] * 3
    assert main(command(photos, captioner, outputs, "--resume")) == 0
    printed = capsys.readouterr()
    assert [Path(line.split("\t")[0]).name for line in printed.out.splitlines()] == NAMES[4:]
    assert "4 of 6 photos are in" in printed.err
    assert files_of(outputs) == [NAMES] * 3
    assert main(command(photos, captioner, outputs, "--resume")) == 0
    assert capsys.readouterr().out == ""
    assert files_of(outputs) == [NAMES] * 3


def test_a_resumed_file_is_that_of_one_run(
    captioner: Path, photos: Path, outputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {kind: tmp_path / f"whole.{kind}" for kind in KINDS}
    assert main(command(photos, captioner, whole, "--num-captions", "2")) == 0
    with monkeypatch.context() as patched:
        interrupt_after(3, KeyboardInterrupt(), patched)
        main(command(photos, captioner, outputs, "--num-captions", "2"))
    assert main(command(photos, captioner, outputs, "--num-captions", "2", "--resume")) == 0
    assert outputs["coco"].read_bytes() == whole["coco"].read_bytes()
    for kind in ("json", "csv"):
        assert without_scores(outputs[kind]) == without_scores(whole[kind])


@pytest.mark.parametrize("torn", KINDS)
def test_resume_goes_on_from_a_torn_partial_file(torn: str, captioner: Path, photos: Path, outputs: dict[str, Path]) -> None:
    """A killed process may leave any part of its last row, and another number of photos in each file."""
    assert main(command(photos, captioner, outputs)) == 0
    for kind, path in outputs.items():
        path.rename(partial := path.with_name(f"{path.name}.partial"))
        if kind == torn:
            os.truncate(partial, partial.stat().st_size - 40)
    assert main(command(photos, captioner, outputs, "--resume")) == 0
    assert files_of(outputs) == [NAMES] * 3
    assert not list(photos.parent.glob("*.partial"))


def test_resume_of_another_order_captions_each_photo_once(captioner: Path, photos: Path, outputs: dict[str, Path]) -> None:
    assert main(command(photos / "[3-4].png", captioner, outputs)) == 0
    (photos / "4.png").unlink()
    assert main(command(photos, captioner, outputs, "--resume")) == 0
    assert files_of(outputs) == [["3.png", "4.png", "0.png", "1.png", "2.png", "5.png"]] * 3


def test_resume_refuses_other_files(captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, text in (
        ("csv", "a,b\n1,2\n"),
        ("json", '{"a": 1}'),
        ("json", "[\n1,\n2\n]\n"),
        ("csv", "\xff\n"),
        ("coco", "[\n{},\n{}\n]\n"),
    ):
        (tmp_path / "other").write_text(text)
        assert main(command(photos, captioner, {kind: tmp_path / "other"}, "--resume")) == 2
        assert "cannot go on from" in capsys.readouterr().err
        assert (tmp_path / "other").read_text() == text
    assert main(command(photos, captioner, {}, "--resume")) == 2
    assert "--resume goes on from files" in capsys.readouterr().err


def test_an_error_of_the_program_keeps_what_was_found(
    captioner: Path, photos: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(2, ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(command(photos, captioner, outputs))
    assert files_of(outputs) == [NAMES[:2]] * 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "a process that reads photos was killed"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), "memory is used up"),
        (MemoryError(), "memory is used up"),
        (RuntimeError("can't start new thread"), "no more threads"),
        (OSError(24, "Too many open files"), "too few files may be open"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: Exception,
    line: str,
    captioner: Path,
    photos: Path,
    outputs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_after(2, error, monkeypatch)
    assert main(command(photos, captioner, outputs)) == 2
    printed = capsys.readouterr().err.splitlines()
    assert line in printed[-1]
    assert "captions of 2 photos are kept" in "".join(printed)
    assert files_of(outputs) == [NAMES[:2]] * 3


def run_command(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "showattend", *arguments], stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_what_was_found_and_ends_with_its_status(
    number: int, captioner: Path, photos: Path, outputs: dict[str, Path]
) -> None:
    for copy in range(400):
        shutil.copy(photos / "0.png", photos / f"more{copy}.png")
    # Under nohup, which the suite may run under, SIGHUP is ignored, and rightly so.
    heard = partial(signal.signal, number, signal.SIG_DFL)
    process = run_command(command(photos, captioner, outputs), stdout=subprocess.PIPE, preexec_fn=heard)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert b"stopped; the captions of" in error
    assert b"Traceback" not in error
    kept = files_of(outputs)
    assert kept[0] == kept[1] == kept[2] != []


@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_standard_output_that_refuses_is_one_line_and_loses_nothing(
    target: str, captioner: Path, photos: Path, outputs: dict[str, Path]
) -> None:
    redirect = ">&-" if target == "closed" else f"> {target}"
    line = ["sh", "-c", f'exec "$0" -m showattend "$@" {redirect}', sys.executable, *command(photos, captioner, outputs)]
    run = subprocess.run(line, stderr=subprocess.PIPE, check=False)
    assert b"Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) == (target != "closed")
    assert run.returncode == (0 if target == "closed" else 2)
    assert files_of(outputs) == [NAMES if target == "closed" else NAMES[:1]] * 3


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
    assert printed.err.startswith("2 entries of folders are not taken for photos: .txt (1), pipes")


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


def test_an_interrupted_evaluation_keeps_its_captions_and_goes_on(
    captioner: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["evaluate", "--model", str(captioner), "--data.root", str(shapes), "--workers", "0", "--batch-size", "1", "--out"]
    assert main([*command, str(tmp_path / "whole")]) in (0, 1)
    with monkeypatch.context() as patched:
        interrupt_after(5, KeyboardInterrupt(), patched)
        assert main([*command, str(out)]) == 130
    assert f"the captions of 5 photos are kept in {out / 'results.json'}" in capsys.readouterr().err
    assert len(json.loads((out / "results.json").read_text())) == 5
    assert main([*command, str(out), "--resume"]) in (0, 1)
    assert "5 of 8 photos are in" in capsys.readouterr().err
    for name in ("results.json", "metrics.json", "photos.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_killed_evaluation_leaves_its_captions_in_the_partial_file(
    captioner: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process is gone."""

    monkeypatch.setattr(CaptionFiles, "__exit__", lambda *_: None)  # a kill runs none of it
    interrupt_after(3, Killed(), monkeypatch)
    with pytest.raises(Killed):
        main(["evaluate", "--model", str(captioner), "--data.root", str(shapes), "--workers", "0", "--out", str(tmp_path / "out")])
    assert len(json.loads((tmp_path / "out" / "results.json.partial").read_text())) == 3


@pytest.mark.parametrize("given", [["--model", "model"], ["--results", "results.json", "--out", "out"]])
def test_only_captions_of_a_model_in_a_folder_can_be_resumed(given: list[str], refused: Callable[..., str]) -> None:
    assert "give --model and --out" in refused("evaluate", "--data.root", ".", "--resume", *given)


def test_words_of_a_stranger_s_model_cannot_write_to_the_terminal(
    captioner: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(captioner, tmp_path / "model")
    words = json.loads((model / "vocabulary.json").read_text())
    (model / "vocabulary.json").write_text(json.dumps([word if word.startswith("<") else f"\x1b[2J{word}\n\u202e" for word in words]))
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
