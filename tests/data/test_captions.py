"""Five layouts with the faults of real copies; test_layouts.py has the others."""

import json
from pathlib import Path

import pytest
from PIL import Image

from showattend.data.captions import read_captions
from showattend.data.photos import image_id, photo_ids
from showattend.data.readers import CAPTION_READERS
from showattend.errors import InputError


def photos(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / name)


def flickr(root: Path) -> Path:
    photos(root / "Flicker8k_Dataset", "a.jpg", "b.jpg", "c.jpg", "unlisted.jpg")
    (root / "Flicker8k_Dataset" / ".DS_Store").write_bytes(b"x")
    lines = [f"{name}.jpg#{n}\tA {name} , number {n} ." for name in "abc" for n in range(2)]
    lines += ["", "gone.jpg#0\tgone", "2258277193_586949ec62.jpg.1#0\tpeople in a boat"]
    (root / "Flickr8k.token.txt").write_text("\n".join(lines))
    (root / "Flickr_8k.trainImages.txt").write_text("a.jpg\n b.jpg \ngone.jpg\nnever.jpg\n")
    (root / "Flickr_8k.devImages.txt").write_text("c.jpg")
    return root


def images_csv(root: Path) -> Path:
    names = [f"{n:02}.jpg" for n in range(20)]
    photos(root / "Images", *names)
    rows = [f'{name},"A dog , running"' for name in names]
    (root / "captions.txt").write_text("image,caption\n" + "\n".join(rows))
    return root


def karpathy(root: Path) -> Path:
    photos(root / "val2014", "COCO_val2014_000000000042.jpg", "x.jpg", "y.jpg")
    images = [
        {
            "filename": name,
            "filepath": "val2014",
            "split": split,
            "cocoid": number,
            "sentences": [{"raw": f"caption {n}"} for n in range(5)],
        }
        for name, split, number in (("COCO_val2014_000000000042.jpg", "restval", 42), ("x.jpg", "val", 7), ("y.jpg", "test", 8))
    ]
    (root / "dataset_coco.json").write_text(json.dumps({"images": images}))
    return root


def coco(root: Path) -> Path:
    (root / "annotations").mkdir(parents=True)
    for part, number in (("train2017", 1), ("val2017", 2)):
        photos(root / part, f"{number:012}.jpg")
        images = [{"id": number, "file_name": f"{number:012}.jpg"}]
        annotations = [{"id": 10 * number + n, "image_id": number, "caption": f"caption {n}"} for n in range(5)]
        (root / "annotations" / f"captions_{part}.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (root / "annotations" / "instances_val2017.json").write_text("{}")
    return root


def own(root: Path) -> Path:
    photos(root / "photos", "a.png", "b.png", "c.png")
    rows = ["file_name;caption;split", "a.png;one;train", "a.png;two;train", "b.png;three;dev", "c.png;four;test"]
    (root / "mine.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("make", "layout", "counts"),
    [
        (flickr, "flickr8k", (2, 1, 0)),
        (images_csv, "images-csv", (16, 2, 2)),
        (karpathy, "karpathy", (1, 1, 1)),
        (coco, "coco", (1, 1, 0)),
        (own, "csv", (1, 1, 1)),
    ],
)
def test_layouts_are_recognised_and_read(make, layout: str, counts: tuple[int, ...], tmp_path: Path) -> None:  # noqa: ANN001
    root = make(tmp_path / "data")
    for chosen in ("auto", layout):
        data = read_captions(root, chosen)
        assert tuple(len(data.splits[split]) for split in ("train", "val", "test")) == counts
        assert all(photo.path.is_file() and photo.captions for split in data.splits.values() for photo in split)


def test_faults_of_flickr_s_lists_are_counted_and_named(tmp_path: Path) -> None:
    data = read_captions(flickr(tmp_path / "data"))
    assert [photo.id for photo in data.split("train")] == ["a.jpg", "b.jpg"]
    assert data.split("val")[0].captions == ("A c , number 0 .", "A c , number 1 .")
    assert data.notes == ["3 photos listed without a file, left out (such as gone.jpg)"]
    with pytest.raises(InputError, match="'test' holds no photo with a caption: choose from train, val"):
        data.split("test")


def test_restval_joins_train_and_ids_are_coco_s(tmp_path: Path) -> None:
    assert [photo.id for photo in read_captions(karpathy(tmp_path / "data")).split("train")] == [42]


def test_photos_of_one_name_have_ids_of_their_own() -> None:
    names = ["a/1.png", "b/1.png", "b/c/2.png", "x/c/2.png", "3.png", "a/000000391895.jpg", "b/000000391895.jpg", "000000391896.jpg"]
    ids = ["a/1.png", "b/1.png", "b/c/2.png", "x/c/2.png", "3.png", "a/000000391895.jpg", "b/000000391895.jpg", 391896]
    assert photo_ids([Path(name) for name in names]) == dict(zip(map(Path, names), ids, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("COCO_val2014_000000391895.jpg", 391895), ("000000391895.jpg", 391895), ("IMG_2041.jpg", "IMG_2041.jpg"), ("2041.jpg", "2041.jpg")],
)
def test_the_image_id_of_a_coco_file_is_its_number(name: str, expected: int | str) -> None:
    assert image_id(name) == expected


def test_every_layout_that_can_be_chosen_is_described() -> None:
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in CAPTION_READERS.entries)


def test_errors_about_the_folder_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder at"):
        read_captions(tmp_path / "nowhere")
    with pytest.raises(InputError, match="laid out like no data set that is known"):
        read_captions(tmp_path)
    with pytest.raises(InputError, match="did you mean 'flickr8k'"):
        read_captions(tmp_path, "flickr8")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dataset.json", "{}", "Karpathy"),
        ("dataset.json", "{", "no JSON"),
        ("annotations/captions_train.json", "[]", "COCO"),
        ("mine.csv", "photo_name,description\na.jpg,x", "column named image"),
        ("mine.csv", "image,caption\na.jpg,x", "no photo with both"),
        ("captions.txt", "", "no photo with both"),
    ],
)
def test_files_in_the_wrong_format_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_captions(tmp_path)


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    root = flickr(tmp_path / "data")
    (root / "Flickr8k.token.txt").write_text("a.jpg#0\tfine\nb.jpg#0 not fine")
    with pytest.raises(InputError, match="line 2"):
        read_captions(root)


def test_photos_without_the_photo_folder(tmp_path: Path) -> None:
    (tmp_path / "Flickr8k.token.txt").write_text("a.jpg#0\tfine")
    with pytest.raises(InputError, match="Flicker8k_Dataset"):
        read_captions(tmp_path)


def test_the_published_flickr8k_has_its_known_numbers_of_photos(flickr8k: Path) -> None:
    data = read_captions(flickr8k)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [6000, 1000, 0]
    assert all(len(photo.captions) == 5 for photo in data.split("train") + data.split("val"))
