"""Photos of a command line: however many, in the order of `sorted`, each once, and in little memory."""

import gc
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from showattend.data.photo_index import PhotoIndex
from showattend.data.photos import find_photos, image_id
from showattend.errors import InputError

NAMES = ["a/1.png", "a.b/1.png", "a-b/2.png", "a/b/3.png", "a/b.png", "a b.png", "ä.png", "B.png", "a.png", "a/b/1.jpg", "é/COCO_1.png"]


def test_order_is_that_of_sorted_paths() -> None:
    paths = [Path(name) for name in NAMES]
    random.Random(0).shuffle(paths)
    index = PhotoIndex()
    assert index.add_sorted(paths) == len(index) == len(NAMES)
    assert list(index) == sorted(paths)
    assert list(PhotoIndex(paths)) == paths
    assert Path("a.png") in index
    assert Path("c.png") not in index


def test_folders_may_be_nested_deeper_than_python_recurses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = ""
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir(folder := os.path.join(folder, "d"))
    photo = Path(folder) / "a.png"
    photo.touch()
    assert list(find_photos(["d"])[0]) == [photo]
    photo.unlink()
    os.removedirs(folder)  # as pytest, which recurses, could not


def test_what_several_patterns_name_comes_once_where_it_was_named_first(tmp_path: Path) -> None:
    for name in ("c/1.png", "c/2.png", "b/3.png", "1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "b" / "circle")
    patterns = [tmp_path / "c" / "2.png", tmp_path / "c", tmp_path / "*" / "*.png", tmp_path]
    found = find_photos(map(str, patterns)).paths
    assert [str(path.relative_to(tmp_path)) for path in found] == ["c/2.png", "c/1.png", "b/3.png", "1.png"]


@pytest.mark.parametrize("key", [lambda path: path.with_suffix(""), lambda path: image_id(path.name), lambda path: path])
def test_groups_are_the_photos_that_share_a_key(key: Callable[[Path], object]) -> None:
    paths = [Path(name) for name in NAMES]
    shares = {path: [other for other in paths if key(other) == key(path)] for path in paths}
    groups = list(PhotoIndex(paths).groups(key))
    assert {path: group for group in groups for path in group} == {path: group for path, group in shares.items() if len(group) > 1}


def test_names_that_are_no_text_come_back_exact() -> None:
    paths = [Path(os.fsdecode(name)) for name in (b"a\xff.png", b"line\nbreak.png", b"\xed\xa0\x80/1.png")]
    assert list(PhotoIndex(paths)) == paths


def test_one_path_is_in_memory_at_a_time_while_photos_are_listed_and_read() -> None:
    def alive() -> int:
        return sum(issubclass(type(each), Path) for each in gc.get_objects())

    def listed() -> Iterator[Path]:
        for number in range(5000):
            yield Path(f"{number % 97}/{number}.png")
        during.append(alive())

    before, during = alive(), list[int]()
    index = PhotoIndex()
    index.add_sorted(listed())
    for number, _ in enumerate(index):
        if number in (0, 4999):
            during.append(alive())
    assert max(during) < before + 10


def test_a_disk_that_is_full_is_one_line() -> None:
    index = PhotoIndex()
    index._database.execute("PRAGMA max_page_count = 3")
    with pytest.raises(InputError, match=r"disk of temporary files \(database or disk is full\): name another by TMPDIR"):
        index.add_sorted(Path(f"{number}.png") for number in range(10_000))
