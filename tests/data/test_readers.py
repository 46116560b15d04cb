"""Readers: their contract, how layouts and files are recognised, and what malformed files are answered with."""

import json
from pathlib import Path

import pytest

from showattend.data.captions import read_captions
from showattend.data.readers import CAPTION_READERS, FILE_ORDER, FOLDER_ORDER, CaptionReader, DataFolder, find_reader, read_listing_file
from showattend.data.references import References, read_references
from showattend.data.results import read_results
from showattend.errors import InputError

IMAGE = {"filename": "a.png", "split": "val", "sentences": [{"raw": "a dog"}]}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", CAPTION_READERS.names())
def test_every_reader_says_how_it_is_recognised(name: str, tmp_path: Path) -> None:
    reader = CAPTION_READERS.find(name)()
    assert name in FOLDER_ORDER
    assert reader.signs
    assert reader.example
    assert not reader.find(DataFolder(tmp_path))


@pytest.mark.parametrize("name", CAPTION_READERS.names())
def test_a_reader_reads_single_files_if_and_only_if_it_names_their_format(name: str) -> None:
    reader = CAPTION_READERS.find(name)
    assert bool(reader.file_format) == (name in FILE_ORDER) == (reader.read_file is not CaptionReader.read_file)


OWN_READER = """
from showattend.data.listings import ListedPhoto, Listing
from showattend.data.readers import CaptionReader

class Mine(CaptionReader):
    def read(self, root):
        return Listing([ListedPhoto(path.stem, root / path.name, ["a dog"], "train") for path in root.glob("*.png")])
"""


def test_a_reader_of_one_s_own_is_found_by_its_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "my_readers.py", OWN_READER)
    write(tmp_path / "a.png", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_captions(tmp_path, "my_readers:Mine").split("train")[0].captions == ("a dog",)
    with pytest.raises(InputError, match="is no CaptionReader"):
        find_reader(tmp_path, "json:JSONDecoder")


def test_an_unrecognised_folder_is_answered_with_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        find_reader(tmp_path)
    assert str(tmp_path) in str(refused.value)
    for name in FOLDER_ORDER:
        assert f"{' or '.join(CAPTION_READERS.find(name).signs)} ({name})" in str(refused.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([None], "images[0]: expected object, got null"),
        (["x"], "images[0]: expected object, got str"),
        ([IMAGE, IMAGE | {"filename": 3}], "images[1].filename: expected str, got int"),
        ([IMAGE | {"cocoid": [1]}], "images[0].cocoid: expected"),
        ([IMAGE | {"filepath": 3}], "images[0].filepath: expected str, got int"),
        ([IMAGE | {"sentences": [{"raw": 1}]}], "images[0].sentences[0].raw: expected str | null, got int"),
        ([IMAGE | {"sentences": [{}]}], "images[0].sentences[0]: object missing required field raw"),
        ([IMAGE | {"filename": "a\0b"}], "holds a null character"),
        ([IMAGE | {"sentences": [{"raw": "\ud800"}]}], "half of a surrogate pair"),
        ({"a": 1}, "images: expected array, got object"),
    ],
)
def test_karpathy_errors_name_file_record_and_field(images: object, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "dataset_x.json", {"images": images})
    with pytest.raises(InputError) as refused:
        read_captions(tmp_path)
    assert f"{path} is not in Karpathy's format: " in str(refused.value)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{}]}, "images[0]: object missing required field id"),
        ({"images": [{"id": 1.5}]}, "images[0].id: expected int | str, got float"),
        ({"images": [{"id": 1, "file_name": 7}]}, "images[0].file_name: expected str | null, got int"),
        ({"annotations": [{"image_id": 1, "caption": ["a"]}]}, "annotations[0].caption: expected str | null, got array"),
        ({"annotations": {}}, "annotations: expected array, got object"),
        ({"annotations": [{"image_id": 2, "caption": "a"}]}, "captions of 1 photos that its images do not list"),
    ],
)
def test_coco_errors_name_file_record_and_field(change: dict[str, object], message: str, tmp_path: Path) -> None:
    good = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a dog"}]}
    path = write(tmp_path / "captions.json", good | change)
    with pytest.raises(InputError) as refused:
        read_references(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_coco_references_need_no_file_names_and_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    content = {"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1, "caption": text} for text in ("a dog", None, " ")]}
    references = read_references(write(tmp_path / "captions.json", "\ufeff" + json.dumps(content)))
    assert references.captions == {1: ("a dog",)}, "a null caption is not the word 'None'"
    assert references.files == {}
    assert "2 empty captions" in references.notes[0]


def test_names_in_other_accents_and_letters_are_found(tmp_path: Path) -> None:
    references = References({"caf\u00e9.jpg": ("a",), "b.jpg": ("b",)})
    rows = [{"image_id": "cafe\u0301.jpg", "caption": "one"}, {"image_id": "B.JPG", "caption": "two"}]
    results = read_results(write(tmp_path / "x.json", json.dumps(rows)), references)
    assert results.captions == {"caf\u00e9.jpg": "one", "b.jpg": "two"}
    assert "looked up" in results.note


@pytest.mark.parametrize(
    ("text", "message"),
    [("[" * 100_000 + "]" * 100_000, "nested too deeply"), ("[" + "1" * 5000 + "]", "no JSON"), ('"\\ud800', "no JSON"), ("{", "no JSON")],
)
def test_hostile_json_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", text)
    with pytest.raises(InputError, match=message) as refused:
        read_results(path, References({1: ("a",)}))
    assert "\n" not in str(refused.value)
    if path.read_text()[0] in "{[":
        with pytest.raises(InputError, match=message):
            read_listing_file(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"image_id": 1, "caption": "\ud800 dog"}], "[0]: '\\ud800 dog' holds half of a surrogate pair"),
        ([{"image_id": 1, "caption": "a", "\ud800": 1}], "the name of a field holds half of a surrogate pair"),
        ([{"image_id": 1, "caption": "a"}, {"image_id": None, "caption": "a"}], "[1].image_id: expected int | str, got null"),
        ([7], "[0]: expected object, got int"),
    ],
)
def test_result_errors_name_row_and_field(rows: list[object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_results(write(tmp_path / "r.json", rows), References({1: ("a",)}))
    assert message in str(refused.value)


def captions(path: Path) -> dict[int | str, tuple[str, ...]]:
    return read_references(path).captions


def test_a_csv_caption_with_unquoted_commas_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "image,caption\na.jpg,A boy , laughing , jumps .\nb.jpg,1,000 goats\n")
    assert captions(path) == {"a.jpg": ("A boy , laughing , jumps .",), "b.jpg": ("1,000 goats",)}
    path = write(tmp_path / "c.csv", "image,caption,split\na.jpg,A boy , laughing,val\n")
    with pytest.raises(InputError, match=r"c.csv line 2: the row has more fields than the 3 columns"):
        captions(path)


def test_a_csv_caption_may_hold_line_breaks_in_quotes_and_odd_separators(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", 'image,caption\na.jpg,"A boy\r\njumps"\nb.jpg,a\u2028b\x85c\x0cd\n')
    assert captions(path) == {"a.jpg": ("A boy jumps",), "b.jpg": ("a b c d",)}
    path = write(tmp_path / "c.token", "a.jpg#0\ta\u2028b\x85c\x0bd\r\nb.jpg#0\ta dog\r\n")
    assert captions(path) == {"a.jpg": ("a b c d",), "b.jpg": ("a dog",)}


def test_a_csv_row_with_too_few_columns_is_left_out_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", 'image_name| comment_number| comment\na.jpg| 0| A boy .\na.jpg| 1   A child .\nb.jpg| 0| "A" goat .\n')
    references = read_references(path)
    assert references.captions == {"a.jpg": ("A boy .",), "b.jpg": ('"A" goat .',)}
    assert "1 rows" in references.notes[0]
    assert "line 3" in references.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image,caption\na.jpg,"A boy\nb.jpg,a goat\n', "line 3: unexpected end of data"),
        ("image,caption,caption\na.jpg,a,b\n", "several columns named 'caption'"),
        ("image,caption,split\na.jpg,a,val\na.jpg,b,train\n", "line 3: a.jpg is in the splits val and train"),
        ("image,caption\n,a dog\n", "line 2: the column image holds no name of a file"),
    ],
)
def test_csv_errors_name_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        captions(write(tmp_path / "c.csv", text))


def test_a_very_long_caption_in_a_csv_is_read(tmp_path: Path) -> None:
    assert captions(write(tmp_path / "c.csv", "image,caption\na.jpg," + "a " * 100_000))["a.jpg"][0].count("a") == 100_000


@pytest.mark.parametrize("line", ["a.jpg\ta dog", "#0\ta dog", "a.jpg#x\ta dog", "a.jpg#0 a dog"])
def test_a_line_of_tokens_without_name_and_number_is_refused(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.token", f"a.jpg#0\ta dog\n{line}\n")
    with pytest.raises(InputError, match=r"x.token line 2: expected NAME.jpg#N<TAB>caption"):
        captions(path)


@pytest.mark.parametrize(("written", "split"), [("Train", "train"), ("validation", "val"), ("DEV", "val"), ("testing", "test")])
def test_splits_are_understood_as_people_write_them(written: str, split: str, tmp_path: Path) -> None:
    write(tmp_path / "a.png", "")
    write(tmp_path / "c.csv", f"image,caption,split\na.png,a dog,{written}\n")
    assert read_captions(tmp_path).split(split)[0].id == "a.png"


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / name, "")
    write(tmp_path / "c.csv", "image,caption,split\na.png,a dog,train\nb.png,a dog,extra\n")
    assert "in the split 'extra'" in read_captions(tmp_path).notes[0]


CAPTIONS_TABLE = "image,caption\na.jpg,Ein kleiner Hund läuft über die Straße .\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_tables_json_tokens_and_results_are_read_in_the_encoding_that_they_have(encoding: str, tmp_path: Path) -> None:
    text = "Ein kleiner Hund läuft über die Straße ."
    files = {
        "c.csv": f"image,caption\na.jpg,{text}\n",
        "c.token": f"a.jpg#0\t{text}\n",
        "c.jsonl": json.dumps({"image": "a.jpg", "caption": text}, ensure_ascii=False) + "\n",
        "dataset.json": json.dumps({"images": [IMAGE | {"filename": "a.jpg", "sentences": [{"raw": text}]}]}, ensure_ascii=False),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert captions(tmp_path / name) == {"a.jpg": (text,)}, name
    (tmp_path / "r.json").write_bytes(json.dumps([{"image_id": 1, "caption": text}], ensure_ascii=False).encode(encoding))
    assert read_results(tmp_path / "r.json", References({1: ("a",)})).captions == {1: text}


def test_a_file_that_was_read_as_latin_1_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(CAPTIONS_TABLE.encode("latin-1"))
    assert "was read as Latin-1" in read_references(tmp_path / "c.csv").notes[0]


@pytest.mark.parametrize(
    "content", ["一只狗在跑".encode("gb18030"), "собака бежит".encode("koi8-r"), "café ok ".encode() + b"caf\xe9", b"a\x81"]
)
def test_text_in_an_encoding_that_cannot_be_recognised_is_refused_with_the_place(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"image,caption\na.jpg," + content + b"\n")
    with pytest.raises(InputError, match=r"c.csv: byte \d+ is not UTF-8"):
        captions(tmp_path / "c.csv")


def test_a_table_without_a_header_is_read(tmp_path: Path) -> None:
    assert captions(write(tmp_path / "c.token", "a.jpg\ta dog\na.jpg\ta cat\n")) == {"a.jpg": ("a dog", "a cat")}
    assert captions(write(tmp_path / "c.csv", "a.jpg,0,a dog , running\n")) == {"a.jpg": ("a dog , running",)}


def test_numbered_columns_and_lists_in_a_field_hold_a_caption_each(tmp_path: Path) -> None:
    numbered = write(tmp_path / "c.csv", "image,caption_0,caption_1,caption_2\na.jpg,a dog,,a cat\n")
    assert captions(numbered) == {"a.jpg": ("a dog", "a cat")}
    listed = write(tmp_path / "d.csv", 'raw,split,filename\n"[""a dog"", ""a, cat""]",val,a.jpg\n')
    assert captions(listed) == {"a.jpg": ("a dog", "a, cat")}


@pytest.mark.parametrize(
    "content",
    [
        '{"image": "a.jpg", "caption": "a dog"}\n{"image": "a.jpg", "caption": null}\n{"image": "a.jpg", "caption": "a cat"}\n',
        '{"file_name": "a.jpg", "text": ["a dog", "a cat"]}\n',
        '[{"image": "a.jpg", "sentences": [{"raw": "a dog"}, {"raw": "a cat"}]}]',
        '{"a.jpg": ["a dog", "a cat"]}',
    ],
)
def test_captions_as_json_lines_lists_and_objects(content: str, tmp_path: Path) -> None:
    assert captions(write(tmp_path / "c.jsonl" if "}\n" in content else tmp_path / "c.json", content)) == {"a.jpg": ("a dog", "a cat")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"caption": "a dog"}', "line 2 names no photo"),
        ('{"image": "a.jpg"}', "line 2 has no caption"),
        ('{"image": "a.jpg", "caption": 3}', "line 2: the caption '3' is no text"),
        ('{"image": ["a"], "caption": "a"}', "line 2: .* is no name of a photo"),
        ('{"image": "a.jpg", "caption": "a", "split": "test"}', "line 2: a.jpg is in the splits val and test"),
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2: expected an object"),
    ],
)
def test_errors_in_json_lines_name_the_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        captions(write(tmp_path / "c.jsonl", '{"image": "a.jpg", "caption": "a dog", "split": "val"}\n' + line))


def test_captions_of_vizwiz_that_are_marked_as_rejected_are_counted_and_left_out(tmp_path: Path) -> None:
    annotations = [
        {"image_id": 1, "caption": "a dog", "is_rejected": False, "is_precanned": False},
        {"image_id": 1, "caption": "spam", "is_rejected": True, "is_precanned": False},
        {"image_id": 1, "caption": "Quality issues are too severe", "is_rejected": False, "is_precanned": True},
    ]
    references = read_references(write(tmp_path / "v.json", {"images": [{"id": 1}], "annotations": annotations}))
    assert references.captions == {1: ("a dog",)}
    assert "2 captions" in references.notes[0]


def test_folders_with_impossible_names_are_reported_as_missing_files(tmp_path: Path) -> None:
    write(tmp_path / "dataset_x.json", {"images": [IMAGE | {"filepath": "x" * 5000}]})
    with pytest.raises(InputError, match="1 photos listed without a file"):
        read_captions(tmp_path)
