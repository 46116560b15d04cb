"""`showattend caption` and `evaluate` where they are stopped: captions that were found are kept, and the work goes on from there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from caption_command import KINDS, NAMES, command, files_of, interrupt_after, without_scores

from showattend.cli.caption_files import CaptionFiles
from showattend.cli.main import main


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
    # The signal may come after a caption was written into one file and before it was written into the next.
    shortest, *others = sorted(files_of(outputs), key=len)
    assert shortest
    assert all(other[: len(shortest)] == shortest and len(other) <= len(shortest) + 1 for other in others)


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
