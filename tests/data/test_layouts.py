"""Data sets as they are downloaded and unzipped: each is recognised, read whole, and finds its photos."""

import io
import json
import os
import tarfile
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from showattend.data.captions import read_captions
from showattend.data.readers import FOLDER_ORDER, DataFolder, find_reader
from showattend.errors import InputError

NAMES = [f"{number}.jpg" for number in range(1000, 1010)]
TENTHS = (8, 1, 1)


def photos(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def tokens(path: Path) -> None:
    write(path, "".join(f"{name}#{number}\tA red dog runs .\n" for name in NAMES for number in range(2)))


def table(path: Path, header: str = "image,caption", row: str = "{},A red dog runs .", names: list[str] = NAMES) -> None:
    write(path, "\n".join([header, *(row.format(name) for name in names)]) + "\n")


def flickr8k_two_zips(root: Path) -> None:
    tokens(root / "Flickr8k_text/Flickr8k.token.txt")
    for part, names in (("train", NAMES[:7]), ("dev", NAMES[7:9]), ("test", NAMES[9:])):
        write(root / f"Flickr8k_text/Flickr_8k.{part}Images.txt", "\n".join(names))
    photos(root / "Flickr8k_Dataset/Flicker8k_Dataset", *NAMES)


def flickr30k_release(root: Path) -> None:
    tokens(root / "results_20130124.token")
    photos(root / "flickr30k-images", *NAMES)


def flickr30k_with_lists(root: Path) -> None:
    flickr30k_release(root / "flickr30k")
    for part, names in (("train", NAMES[:7]), ("val", NAMES[7:9]), ("test", NAMES[9:])):
        write(root / f"flickr30k/{part}.txt", "".join(f"{Path(name).stem}\n" for name in names))


def kaggle_hsankesara(root: Path) -> None:
    table(root / "flickr30k_images/results.csv", "image_name| comment_number| comment", "{}| 0| A red dog runs .")
    photos(root / "flickr30k_images/flickr30k_images", *NAMES)


def kaggle_captions(root: Path) -> None:
    table(root / "captions.txt", row="{}, A red dog , running .")
    photos(root / "flickr30k_images", *NAMES)


def hugging_face_flickr30k(root: Path) -> None:
    splits = ["train"] * 7 + ["val"] * 2 + ["test"]
    rows = [f'"[""A red dog runs ."", ""A dog .""]",0,{split},{name},0' for split, name in zip(splits, NAMES, strict=True)]
    write(root / "flickr_annotations_30k.csv", "\n".join(["raw,sentids,split,filename,img_id", *rows]))
    photos(root / "flickr30k-images", *NAMES)


def imagefolder(root: Path) -> None:
    for split, names in (("train", NAMES), ("validation", NAMES[:3])):
        photos(root / "data" / split, *names)
        table(root / "data" / split / "metadata.csv", "file_name,text", names=names)


def imagefolder_jsonl(root: Path) -> None:
    names = [f"{'train' if number < 7 else 'test'}/{name}" for number, name in enumerate(NAMES)]
    photos(root, *names)
    write(root / "metadata.jsonl", "".join(json.dumps({"file_name": name, "text": ["A dog .", "A red dog ."]}) + "\n" for name in names))


def folders_in_names(root: Path) -> None:
    table(root / "mine.csv", row="images/{},A red dog runs .")
    photos(root / "images", *NAMES)


def backslashes_in_names(root: Path) -> None:
    table(root / "mine.csv", row="x\\{},A red dog runs .")
    photos(root / "images/x", *NAMES)


def names_of_another_machine(root: Path) -> None:
    table(root / "mine.tsv", "path\tcaption", "/home/anna/flickr/images/{}\tA red dog runs .")
    photos(root / "images", *NAMES)


def names_without_suffix(root: Path) -> None:
    table(root / "mine.csv", names=[Path(name).stem for name in NAMES])
    photos(root / "photos", *NAMES)


def one_table_a_split(root: Path) -> None:
    for split, names in (("train", NAMES[:7]), ("valid", NAMES[7:9]), ("test", NAMES[9:])):
        table(root / f"{split}.csv", names=names)
    photos(root / "images", *NAMES)


def json_lines(root: Path) -> None:
    lines = [json.dumps({"image": f"images/{name}", "caption": "A red dog runs ."}) for name in NAMES for _ in range(2)]
    write(root / "captions.jsonl", "\n".join(lines))
    photos(root / "images", *NAMES)


def capitals_in_suffixes(root: Path) -> None:
    table(root / "mine.csv")
    photos(root / "images", *(name.upper() for name in NAMES))


def names_of_a_mac(root: Path) -> None:
    table(root / "mine.csv", row="é{},A red dog runs .")
    photos(root / "images", *(unicodedata.normalize("NFD", f"é{name}") for name in NAMES))


def coco_content(names: list[str], first: int = 0) -> dict[str, object]:
    images = [{"id": first + number, "file_name": name} for number, name in enumerate(names)]
    return {"images": images, "annotations": [{"image_id": image["id"], "id": 0, "caption": "A red dog runs ."} for image in images]}


def coco_as_unzipped(root: Path) -> None:
    for part, names in (("train2017", NAMES[:7]), ("val2017", NAMES[7:])):
        write(root / f"annotations_trainval2017/annotations/captions_{part}.json", coco_content(names, int(names[0][:4])))
        photos(root / "images" / part, *names)


def coco_of_two_years(root: Path) -> None:
    coco_as_unzipped(root)
    write(root / "annotations_trainval2017/annotations/captions_train2014.json", coco_content(NAMES[:8], 1000))


def vizwiz(root: Path) -> None:
    for part, names in (("train", NAMES[:7]), ("val", NAMES[7:])):
        write(root / f"annotations/{part}.json", coco_content(names, int(names[0][:4])))
        photos(root / part, *names)
    write(root / "annotations/test.json", {"images": [{"id": 1, "file_name": "x.jpg"}]})


def nocaps(root: Path) -> None:
    write(root / "nocaps_val_4500_captions.json", coco_content(NAMES))
    photos(root / "images", *NAMES)


def textcaps(root: Path) -> None:
    for part, names in (("train", NAMES[:7]), ("val", NAMES[7:])):
        data = [{"image_id": Path(name).stem, "caption_str": "A red dog runs .", "set_name": part} for name in names for _ in range(2)]
        write(root / f"TextCaps_0.1_{part}.json", {"dataset_name": "textcaps", "data": data})
    write(root / "TextCaps_0.1_test.json", {"dataset_name": "textcaps", "data": [{"image_id": "1"}]})
    photos(root / "train_images", *NAMES)


def text_beside_photos(root: Path) -> None:
    photos(root / "shots", *NAMES)
    for name in NAMES:
        write((root / "shots" / name).with_suffix(".txt"), "A red dog runs .\nA dog .\n")


def shard(path: Path, names: list[str], text: str = "txt") -> None:
    """A tar file of photos with their captions, as WebDataset or, with `json`, as img2dataset has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name in names:
            caption = "A red dog runs .\nA dog .\n" if text == "txt" else json.dumps({"caption": "A red dog runs .", "key": name})
            for member, content in ((name, picture(int(name[:4]))), (f"{name[:4]}.{text}", caption.encode()), (f"{name[:4]}.cls", b"1")):
                info = tarfile.TarInfo(f"x/{member}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(buffer, "PNG")  # without loss: no two are the same
    return buffer.getvalue()


def webdataset(root: Path) -> None:
    shard(root / "train-0000.tar", NAMES[:4])
    shard(root / "train-0001.tar", NAMES[4:7])
    shard(root / "test" / "0.tar.gz", NAMES[7:])
    shard(root / "val-0000.tar", NAMES[7:9])


def img2dataset(root: Path) -> None:
    pytest.importorskip("pyarrow")
    shard(root / "out" / "00000.tar", NAMES, "json")
    write(root / "out" / "00000_stats.json", {"count": 10, "status_dict": {"success": 10}})
    (root / "out" / "00000.parquet").write_bytes(b"")


def img2dataset_files(root: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    photos(root / "out" / "00000", *NAMES)
    for name in NAMES:
        write((root / "out" / "00000" / name).with_suffix(".txt"), "A red dog runs .")
        write((root / "out" / "00000" / name).with_suffix(".json"), {"caption": "A red dog runs .", "url": name, "key": name[:4]})
    parquet.write_table(arrow.table({"url": NAMES, "caption": ["A red dog runs ."] * 10}), root / "out" / "00000.parquet")


def rows(names: list[str]) -> dict[str, list[object]]:
    pictures = [{"bytes": picture(int(name[:4])), "path": name} for name in names]
    return {"image": pictures, "caption": [["A red dog runs .", "A dog ."] for _ in names]}


def hugging_face_parquet(root: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for part, names in (("train", NAMES[:7]), ("validation", NAMES[7:])):
        (root / "data").mkdir(exist_ok=True)
        parquet.write_table(arrow.table(rows(names)), root / "data" / f"{part}-00000-of-00001.parquet")


def hugging_face_on_disk(root: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    write(root / "dataset_dict.json", {"splits": ["train", "test"]})
    for part, names in (("train", NAMES[:7]), ("test", NAMES[7:])):
        folder = root / part
        folder.mkdir()
        write(folder / "dataset_info.json", {"features": {"image": {"_type": "Image"}, "caption": {"_type": "Value"}}})
        table = arrow.table(rows(names))
        with arrow.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table)


def parquet_with_a_row_for_each_caption(root: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = [name for name in NAMES for _ in range(2)]
    splits = ["train"] * 14 + ["val"] * 4 + ["test"] * 2
    columns = {"jpg": [picture(int(name[:4])) for name in names], "text": ["A dog ."] * 20, "split": splits, "file_name": names}
    parquet.write_table(arrow.table(columns), root / "all.parquet")


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
