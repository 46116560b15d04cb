"""Data sets as they are downloaded and unzipped: each is recognised, read whole, and finds its photos."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from data_folders import (
    NAMES,
    TENTHS,
    backslashes_in_names,
    capitals_in_suffixes,
    coco_as_unzipped,
    coco_content,
    coco_of_two_years,
    flickr8k_two_zips,
    flickr30k_release,
    flickr30k_with_lists,
    folders_in_names,
    hugging_face_flickr30k,
    hugging_face_on_disk,
    hugging_face_parquet,
    imagefolder,
    imagefolder_jsonl,
    img2dataset,
    img2dataset_files,
    json_lines,
    kaggle_captions,
    kaggle_hsankesara,
    names_of_a_mac,
    names_of_another_machine,
    names_without_suffix,
    nocaps,
    one_table_a_split,
    parquet_with_a_row_for_each_caption,
    photos,
    picture,
    shard,
    table,
    text_beside_photos,
    textcaps,
    vizwiz,
    webdataset,
    write,
)

from showattend.data.captions import read_captions
from showattend.data.readers import FOLDER_ORDER, DataFolder, find_reader
from showattend.errors import InputError

LAYOUTS = [
    (flickr8k_two_zips, "flickr8k", (7, 2, 1)),
    (flickr30k_release, "flickr30k", TENTHS),
    (flickr30k_with_lists, "flickr30k", (7, 2, 1)),
    (kaggle_hsankesara, "csv", TENTHS),
    (kaggle_captions, "images-csv", TENTHS),
    (hugging_face_flickr30k, "csv", (7, 2, 1)),
    (imagefolder, "imagefolder", (10, 3, 0)),
    (imagefolder_jsonl, "imagefolder", (7, 0, 3)),
    (folders_in_names, "csv", TENTHS),
    (backslashes_in_names, "csv", TENTHS),
    (names_of_another_machine, "csv", TENTHS),
    (names_without_suffix, "csv", TENTHS),
    (one_table_a_split, "csv", (7, 2, 1)),
    (json_lines, "json", TENTHS),
    (capitals_in_suffixes, "csv", TENTHS),
    (names_of_a_mac, "csv", TENTHS),
    (coco_as_unzipped, "coco", (7, 3, 0)),
    (coco_of_two_years, "coco", (7, 3, 0)),
    (vizwiz, "coco-like", (7, 3, 0)),
    (nocaps, "coco-like", (0, 10, 0)),
    (textcaps, "textcaps", (7, 3, 0)),
    (text_beside_photos, "text-files", TENTHS),
    (webdataset, "webdataset", (7, 2, 0)),
    (img2dataset, "webdataset", TENTHS),
    (img2dataset_files, "text-files", TENTHS),
    (hugging_face_parquet, "arrow", (7, 3, 0)),
    (hugging_face_on_disk, "arrow", (7, 0, 3)),
    (parquet_with_a_row_for_each_caption, "arrow", (7, 2, 1)),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOWATTEND_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(("make", "layout", "counts"), LAYOUTS, ids=[make.__name__ for make, _, _ in LAYOUTS])
def test_data_sets_are_read_as_they_are_downloaded(make, layout: str, counts: tuple[int, ...], tmp_path: Path) -> None:  # noqa: ANN001
    make(tmp_path)
    assert find_reader(tmp_path).__class__ is find_reader(tmp_path, layout).__class__
    for chosen in ("auto", layout):
        data = read_captions(tmp_path, chosen)
        assert tuple(len(data.splits[split]) for split in ("train", "val", "test")) == counts, data.notes
        assert all(photo.path.is_file() and photo.captions for split in data.splits.values() for photo in split)


def test_the_years_of_coco_are_not_mixed_and_a_line_names_what_is_left_out(tmp_path: Path) -> None:
    coco_of_two_years(tmp_path)
    assert "captions_train2014.json left out" in read_captions(tmp_path).notes[0]


@pytest.mark.parametrize("parts", [("train_part1", "train_part2", "val"), ("Train2017", "Train2017b", "Val2017")])
def test_parts_of_one_year_are_all_read(parts: tuple[str, ...], tmp_path: Path) -> None:
    for number, part in enumerate(parts):
        name = NAMES[number]
        write(tmp_path / f"annotations/captions_{part}.json", coco_content([name], int(name[:4])))
        photos(tmp_path / "images", name)
    data = read_captions(tmp_path)
    assert [len(data.split(split)) for split in ("train", "val")] == [2, 1]


def test_files_that_number_their_photos_alike_are_told_apart(tmp_path: Path) -> None:
    for part, name in (("train", NAMES[0]), ("val", NAMES[1])):
        write(tmp_path / f"annotations/captions_{part}.json", coco_content([name], 1))
        photos(tmp_path / part, name)
    data = read_captions(tmp_path)
    assert [photo.id for split in ("train", "val") for photo in data.split(split)] == [f"train/{NAMES[0]}", f"val/{NAMES[1]}"]
    assert "called by their files" in data.notes[0]


def test_a_first_row_that_names_a_photo_of_a_rarer_format_is_no_header(tmp_path: Path) -> None:
    photos(tmp_path, *(name.replace(".jpg", ".jfif") for name in NAMES))
    write(tmp_path / "mine.csv", "".join(f"{name.replace('.jpg', '.jfif')},a dog\n" for name in NAMES))
    assert sum(map(len, read_captions(tmp_path).splits.values())) == len(NAMES)


def test_how_the_texts_of_textcaps_were_read_is_said(tmp_path: Path) -> None:
    textcaps(tmp_path)
    path = tmp_path / "TextCaps_0.1_val.json"
    path.write_bytes(path.read_text().replace("red", "r\u00e9d").encode("latin-1"))
    assert any("TextCaps_0.1_val.json" in note for note in read_captions(tmp_path).notes)


def test_a_photo_in_two_lists_of_splits_is_refused(tmp_path: Path) -> None:
    flickr8k_two_zips(tmp_path)
    write(tmp_path / "Flickr8k_text/Flickr_8k.devImages.txt", "1007.jpg\n1000.jpg\n")
    with pytest.raises(InputError, match=r"devImages.txt line 2: 1000.jpg is in the splits train and val"):
        read_captions(tmp_path)


def test_a_name_that_fits_photos_of_several_splits_is_refused_unless_the_list_has_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        photos(tmp_path / split, "1.jpg")
    table(tmp_path / "mine.csv", names=["1.jpg"])
    with pytest.raises(InputError, match=r"1.jpg may be .*train/1.jpg or .*val/1.jpg"):
        read_captions(tmp_path)
    write(tmp_path / "mine.csv", "image,caption,split\n1.jpg,a dog,val\n")
    assert read_captions(tmp_path).split("val")[0].path == tmp_path / "val" / "1.jpg"


def test_names_that_are_right_for_some_photos_are_not_shortened_for_others(tmp_path: Path) -> None:
    photos(tmp_path / "a", "1.jpg")
    photos(tmp_path / "b", "1.jpg", "2.jpg")
    table(tmp_path / "mine.csv", names=["a/1.jpg", "a/2.jpg"])
    data = read_captions(tmp_path)
    assert [photo.path for photo in data.split("train")] == [tmp_path / "a" / "1.jpg"]
    assert data.notes == ["1 photos listed without a file, left out (such as 2.jpg)"]


def test_files_that_differ_in_capitals_only_are_two_photos(tmp_path: Path) -> None:
    photos(tmp_path / "images", "a.jpg", "A.jpg")
    table(tmp_path / "mine.csv", names=["a.jpg", "A.jpg"])
    assert {photo.path.name for photo in read_captions(tmp_path).split("train")} == {"a.jpg", "A.jpg"}


def test_links_in_a_circle_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    photos(tmp_path / "images", "1.jpg")
    (tmp_path / "images" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    write(tmp_path / "__MACOSX" / "x.csv", "")
    write(tmp_path / ".cache" / "x.csv", "")
    assert DataFolder(tmp_path).files == ["images/1.jpg"]


def test_photos_that_are_not_found_are_answered_with_where_they_were_sought(tmp_path: Path) -> None:
    table(tmp_path / "mine.csv")
    with pytest.raises(InputError, match=r"looked for .*images/1000.jpg"):
        read_captions(tmp_path)


def test_an_unrecognised_folder_is_answered_with_the_nearest_layout(tmp_path: Path) -> None:
    photos(tmp_path / "shots", "1.jpg")
    write(tmp_path / "Flickr8k_tokens.txt", "")
    with pytest.raises(InputError) as refused:
        find_reader(tmp_path)
    message = str(refused.value)
    assert "it holds 1 photos (such as shots/1.jpg) and 1 other files (such as Flickr8k_tokens.txt)" in message
    assert f"the nearest layout is 'flickr8k', which would lie as {tmp_path}: Flickr8k.token.txt" in message
    assert all(f"({name})" in message for name in FOLDER_ORDER)
    assert "\n" not in message


def test_shards_are_unpacked_once_under_names_of_ours(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for member, content in (("../../evil/x y.jpg", picture(1)), ("../../evil/x y.txt", b"a dog\n"), ("b.txt", b"no photo")):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = read_captions(tmp_path)
    (photo,) = data.split("train")
    assert photo.path.name == "x_y.jpg"
    assert photo.path.read_bytes() == picture(1)
    assert "unpacked in" in data.notes[0]
    assert "1 photos listed without a file" in data.notes[1]
    before = photo.path.stat().st_mtime_ns
    assert read_captions(tmp_path).split("train") == [photo]
    assert photo.path.stat().st_mtime_ns == before


def test_rows_with_the_same_picture_are_one_photo_with_all_captions(tmp_path: Path) -> None:
    parquet_with_a_row_for_each_caption(tmp_path)
    data = read_captions(tmp_path)
    assert [len(photo.captions) for split in data.splits.values() for photo in split] == [2] * 10
    assert data.split("val")[0].id == "1007.jpg"


def test_a_damaged_shard_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", NAMES)
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: len(content) // 2 + 100])
    with pytest.raises(InputError, match=r"cannot read the shard .*a.tar"):
        read_captions(tmp_path)
    assert not list(Path(os.environ["SHOWATTEND_CACHE"]).glob("unpacked/*"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"]}, "has no caption"),
        ({"image": ["a.jpg"], "text": ["a dog"]}, "holds 'a.jpg' and no picture"),
        ({"image": [{"bytes": None, "path": "a.jpg"}], "text": ["a dog"]}, "save the data set with its photos"),
    ],
)
def test_a_parquet_without_pictures_or_captions_is_refused(columns: dict[str, list[object]], message: str, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read_captions(tmp_path)
    parquet.write_table(arrow.table({"text": ["a dog"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"holds no file \*.parquet .* with the columns image and caption"):
        read_captions(tmp_path, "arrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"cannot read .*a.parquet"):
        read_captions(tmp_path)
