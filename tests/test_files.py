"""Writing files: whole or not at all, through devices and links, and without what dead processes leave."""

import csv
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from showattend import files
from showattend.data.json_files import read_json
from showattend.errors import InputError
from showattend.files import HOST, atomic_folder, atomic_write, check_readable, check_writable, writable, write_table, write_text


@pytest.fixture(autouse=True)
def no_folder_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_cleaned", set())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".txt"
        assert temporary.parent == path.parent
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "a")
    (tmp_path / "b.txt").write_text("b")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "b.txt").stat().st_mode)


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_stays_a_link_and_its_target_is_written(target_exists: bool, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "target.txt"
    target.parent.mkdir()
    if target_exists:
        target.write_text("old")
    (tmp_path / "link.txt").symlink_to(target)
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert target.read_text() == "new"
    assert names(target.parent) == ["target.txt"]


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_text(tmp_path / "pipe", "through")
    reader.join()
    assert received == ["through"]
    assert names(tmp_path) == ["pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_devices_are_written_through() -> None:
    before = os.stat(os.devnull).st_ino
    check_writable(Path(os.devnull))
    write_text(Path(os.devnull), "gone")
    assert os.stat(os.devnull).st_ino == before
    with pytest.raises(InputError, match=r"cannot write /dev/full: No space left on device: free some space"):
        write_text(Path("/dev/full"), "too much")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG])
def test_an_error_of_the_disk_is_one_line_with_the_file(code: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"cannot write .*a\.txt: ") as refused, atomic_write(path):
        raise OSError(code, os.strerror(code))
    assert "\n" not in str(refused.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_other_errors_of_the_system_are_not_called_errors_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "none").read_text()


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a shorter name"):
        write_text(tmp_path / ("a" * 300), "a")
    write_text(tmp_path / ("a" * 250), "a")


def test_temporary_files_of_dead_processes_are_removed_and_those_of_live_ones_kept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stays = [f".a.{HOST}-{os.getpid()}-abcdefgh.npy", ".a.another_machine-1-abcdefgh.npy", f".a.{HOST}-{dead.pid}.npy", ".hidden"]
    for name in [*stays, f".a.{HOST}-{dead.pid}-abcdefgh.npy", f".b.{HOST}-{dead.pid}-abcd_fgh"]:
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "a.txt", "a")
    assert names(tmp_path) == sorted([*stays, "a.txt"])


def test_a_killed_writer_s_file_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\nfrom showattend.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as temporary:\n    temporary.write_text('half')\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.txt")], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert len(names(tmp_path)) == 1
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


def write_model(folder: Path, content: str) -> None:
    with atomic_folder(folder, {"weights", "spec"}) as temporary:
        (temporary / "weights").write_text(content)


@pytest.mark.parametrize("exchange", [True, False], ids=["names exchanged", "two renames"])
def test_a_folder_takes_the_place_of_an_older_one(exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    (tmp_path / "link").symlink_to(tmp_path / "model")
    (tmp_path / "model" / ".git" / "objects").mkdir(parents=True)
    (tmp_path / "model" / ".git" / "objects" / "a").write_text("the user's")
    (tmp_path / "model" / "nowhere").symlink_to("nothing")
    (tmp_path / "model" / "spec").write_text("of the older model alone")
    for content in ("first", "second"):
        write_model(tmp_path / "link", content)
        assert (tmp_path / "model" / "weights").read_text() == content
        assert names(tmp_path) == ["link", "model"]
        assert names(tmp_path / "model") == [".git", "nowhere", "weights"]
        assert (tmp_path / "model" / ".git" / "objects" / "a").read_text() == "the user's"
    (tmp_path / "plain").mkdir()
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_an_error_keeps_the_old_folder_and_leaves_nothing(tmp_path: Path) -> None:
    write_model(tmp_path / "model", "old")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "model", ()) as temporary:
        (temporary / "weights").write_text(str(1 / 0))
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_a_dead_process_s_folder_is_removed(tmp_path: Path) -> None:
    dead = tmp_path / f".model.{HOST}-999999999-abcdefgh"
    dead.mkdir()
    (dead / "weights").write_text("half")
    write_model(tmp_path / "model", "new")
    assert names(tmp_path) == ["model"]


def test_what_utf_8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"m_\xff.png")
    write_text(tmp_path / "a.txt", name)
    write_table(tmp_path / "a.csv", ("file",), [(name,), ("a\nb",)])
    assert (tmp_path / "a.txt").read_bytes() == b"m_\\udcff.png"
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["file"], ["m_\\udcff.png"], ["a\nb"]]


def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    check_writable(tmp_path / "new" / "deep" / "a.txt")
    with pytest.raises(InputError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(InputError, match="no folder that you may write to"):
        check_writable(tmp_path / "file" / "a.txt")
    with pytest.raises(InputError, match="cannot write x: No such"), writable(Path("x")):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")


def test_what_has_no_end_or_may_never_begin_is_not_read_but_what_the_shell_opens_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("pipe", "device", "socket"):
            with pytest.raises(InputError, match=f"{name}: it is a {name}: give a file"):
                check_readable(tmp_path / name)
    reader, writer = os.pipe()
    os.write(writer, b'{"a": 1}')
    os.close(writer)
    assert read_json(Path(f"/dev/fd/{reader}")) == {"a": 1}
    os.close(reader)
    check_readable(tmp_path / "missing")
