"""Files that grow while the work goes on: valid after each row, kept after whatever ends the work."""

import csv
import errno
import json
import os
import stat
from pathlib import Path

import pytest

from showattend.cli.growing_file import GrowingFile, partial_path
from showattend.errors import InputError
from showattend.inference.caption_formats import FORMATS, JSON_LAYOUT

LAYOUTS = {name: FORMATS[name].layout for name in ("json", "csv")}
ROWS = {"json": [b'{"a": 1}', b'{"a": 2}'], "csv": [b"a,b,1,1\r\n", b'"c\nd",e,2,1\r\n']}


def content(path: Path, kind: str) -> int:
    """How many rows a file holds; it must be a valid one."""
    if kind == "json":
        return len(json.loads(path.read_text()))
    with path.open(newline="") as file:
        return len(list(csv.reader(file, strict=True))) - 1


@pytest.mark.parametrize("kind", LAYOUTS)
def test_it_is_valid_after_each_row_and_appears_at_the_end(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a.{kind}"
    growing = GrowingFile(path, LAYOUTS[kind])
    assert not path.parent.exists()
    for count, row in enumerate(ROWS[kind], 1):
        growing.add([row])
        assert content(partial_path(path), kind) == count
        assert not path.exists()
    growing.finish()
    assert content(path, kind) == 2
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("kind", LAYOUTS)
def test_without_a_row_it_is_valid_too(kind: str, tmp_path: Path) -> None:
    GrowingFile(tmp_path / "a", LAYOUTS[kind]).finish()
    assert content(tmp_path / "a", kind) == 0


def test_what_was_found_before_an_interruption_becomes_the_file(tmp_path: Path) -> None:
    growing = GrowingFile(tmp_path / "a.json", JSON_LAYOUT)
    assert growing.keep() == ""
    growing.add(ROWS["json"])
    assert growing.keep().endswith(f"kept in {tmp_path / 'a.json'}")
    assert os.listdir(tmp_path) == ["a.json"]
    assert content(tmp_path / "a.json", "json") == 2


def test_an_interruption_leaves_a_file_of_another_run_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    growing = GrowingFile(path, JSON_LAYOUT)
    growing.add(ROWS["json"])
    assert growing.keep().endswith("a.json.partial")
    assert path.read_text() == "old"
    assert content(partial_path(path), "json") == 2


def test_a_full_disk_keeps_the_rows_before_and_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    growing = GrowingFile(path, JSON_LAYOUT)
    growing.add(ROWS["json"][:1])
    pwrite = os.pwrite

    def full(descriptor: int, block: bytes, offset: int) -> int:
        if len(block) > 6:
            if offset == growing.end:
                return pwrite(descriptor, block[:6], offset)  # some of it still fits
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, block, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(InputError, match=r"cannot write .*a.json: No space left on device: free some space"):
        growing.add([b'{"a": "a longer row"}'])
    assert growing.keep().startswith("the captions of 1 photos are kept in")
    assert path.read_text() == "old"
    assert json.loads(partial_path(path).read_text()) == [{"a": 1}]


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    first, second = (GrowingFile(tmp_path / "a", JSON_LAYOUT) for _ in range(2))
    first.add([b"1"])
    with pytest.raises(InputError, match="another process writes it"):
        second.add([b"2"])
    assert second.keep() == ""
    first.add([b"3"])
    first.finish()
    assert json.loads((tmp_path / "a").read_text()) == [1, 3]


def test_a_link_stays_and_a_planted_one_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    growing = GrowingFile(tmp_path / "link", JSON_LAYOUT)
    growing.add([b"1"])
    growing.finish()
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "target").read_text()) == [1]
    (tmp_path / "precious").write_text("precious")
    partial_path(tmp_path / "a").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="cannot write"):
        GrowingFile(tmp_path / "a", JSON_LAYOUT).add([b"1"])
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_device_is_written_through() -> None:
    growing = GrowingFile(Path(os.devnull), JSON_LAYOUT)
    growing.add([b"1"])
    growing.finish()
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    growing = GrowingFile(Path("/dev/full"), JSON_LAYOUT)
    growing.add([b"1"])
    with pytest.raises(InputError, match="cannot write /dev/full: No space left"):
        growing.finish()


def test_the_longest_names_have_a_partial_file_too(tmp_path: Path) -> None:
    growing = GrowingFile(tmp_path / ("ü" * 127), JSON_LAYOUT)
    growing.add([b"1"])
    growing.finish()
    assert os.listdir(tmp_path) == ["ü" * 127]
