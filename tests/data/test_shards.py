"""Shards that are unpacked: names on file systems that do not tell cases apart, and splits that depend on the folder."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from showattend.data.captions import read_captions
from showattend.data.shards import PackedPhoto, _file_name


def test_no_two_photos_share_a_file_where_cases_are_not_told_apart() -> None:
    names: Counter[str] = Counter()
    given = [_file_name(PackedPhoto(name, b"", []), names) for name in ("A.jpg", "a.jpg", "a-2.jpg", "a.jpg", "", "", "b/A.JPG")]
    assert given == ["A.jpg", "a-2.jpg", "a-2-2.jpg", "a-3.jpg", "photo.jpg", "photo-2.jpg", "A-4.jpg"]
    assert len({name.lower() for name in given}) == len(given)


def test_the_split_of_a_shard_is_that_of_the_folder_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOWATTEND_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data" / "train").mkdir(parents=True)
    with tarfile.open(tmp_path / "data" / "train" / "0.tar", "w") as tar:
        for number in range(30):
            picture = io.BytesIO()
            Image.new("RGB", (4, 4), (number, 0, 0)).save(picture, "PNG")
            for name, content in ((f"{number}.png", picture.getvalue()), (f"{number}.txt", b"a dog")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    filled = [
        {split for split, photos in read_captions(root).splits.items() if photos}
        for root in (tmp_path / "data", tmp_path / "data" / "train")
    ]
    assert filled == [{"train"}, {"train", "val", "test"}]  # tenths, where no name tells them
