"""Folders of data sets as they are downloaded and unzipped, in small."""

import io
import json
import tarfile
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

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
