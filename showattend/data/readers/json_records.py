"""Lists of photos as JSON: JSON lines, a list of objects, or one object of names and captions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from showattend.data.folders import DataFolder
from showattend.data.json_files import check_file_names, check_texts, parse_json, sample_of
from showattend.data.listings import ListedPhoto, Listing, ListingFile, PhotoId, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos, split_by_tenths
from showattend.data.readers.csv_table import read_by_split
from showattend.data.tables import CAPTION_COLUMNS, NUMBERED, PHOTO_COLUMNS, SPLIT_COLUMNS, is_photo_name
from showattend.data.text_files import split_lines
from showattend.errors import InputError


@CAPTION_READERS.register("json")
class JsonRecordsReader(CaptionReader):
    """One list, or one for each split (train.jsonl, val.jsonl …), and photos in `images`, in `photos` or in the folder of the lists."""

    signs = ("*.jsonl", "*.ndjson", "*.json", "annotations/*.json")
    example = 'captions.jsonl with {"image": "NAME.jpg", "caption": "…"} a line and images/NAME.jpg'
    file_format = "JSON lines"

    def find(self, root: DataFolder) -> list[Path]:
        """Files that begin as lists of photos with captions."""
        return root.find(self.signs, _looks_like_records)

    def read(self, root: DataFolder) -> Listing:
        """Photos of the lists; without splits every tenth photo is for validation and every tenth for the test."""
        return split_by_tenths(place_photos(root, read_by_split(self, root)))

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is JSON lines, a list, or an object whose keys are names of photos."""
        return file.starts_as_json and (file.is_json_lines or _is_list(file.json) or _is_mapping(file.json))

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their names, in the order of the file."""
        captions: dict[PhotoId, list[str | None]] = defaultdict(list)
        split_of: dict[PhotoId, str] = {}
        for where, record in _records(file):
            photo = _photo(record, where)
            captions[photo] += captions_of_record(record, where)
            split = next((str(record[name]) for name in SPLIT_COLUMNS if record.get(name)), "")
            split = split_name(split)
            if split_of.setdefault(photo, split) != split:
                raise InputError(f"{where}: {photo} is in the splits {split_of[photo]} and {split}: give it one")
        photos = [ListedPhoto(photo, Path(str(photo)), texts, split_of[photo]) for photo, texts in captions.items()]
        return Listing(photos, file.notes)


def _records(file: ListingFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a file, each with its place in messages."""
    if file.is_json_lines:
        lines = ((number, line) for number, line in enumerate(split_lines(file.text), 1) if line.strip())
        records = ((f"{file.path} line {number}", parse_json(line, Path(f"{file.path} line {number}"))) for number, line in lines)
    elif isinstance(file.json, dict):
        records = ((f"{file.path}: {name}", {"image": name, "caption": value}) for name, value in file.json.items())
    else:
        records = ((f"{file.path}: [{index}]", record) for index, record in enumerate(file.json))
    for where, record in records:
        if not isinstance(record, dict):
            raise InputError(f"{where}: expected an object with a photo and a caption, found {str(record)[:40]}")
        yield where, {name.strip().lower(): value for name, value in record.items()}


def _photo(record: Mapping[str, Any], where: str) -> PhotoId:
    value = next((record[name] for name in PHOTO_COLUMNS if record.get(name) is not None), None)
    if value is None:
        raise InputError(f"{where} names no photo: give it a field named {' or '.join(PHOTO_COLUMNS[:5])}")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{where}: {str(value)[:40]!r} is no name of a photo")
    _check(where, check_file_names, value)
    return value


def captions_of_record(record: Mapping[str, Any], where: str) -> list[str | None]:
    """The captions of a record: a text, a list of texts, or a list of objects that hold one each, as Karpathy's do."""
    names = [name for name in CAPTION_COLUMNS if name in record][:1] or (["sentences"] if "sentences" in record else [])
    names += [name for name in record if NUMBERED.fullmatch(name)]
    if not names:
        raise InputError(f"{where} has no caption: give it a field named {' or '.join(CAPTION_COLUMNS[:4])}")
    captions: list[str | None] = []
    for name in names:
        for value in record[name] if isinstance(record[name], list) else [record[name]]:
            text = value.get("raw", value.get("caption")) if isinstance(value, dict) else value
            if not isinstance(text, str | None):
                raise InputError(f"{where}: the caption {str(text)[:40]!r} is no text")
            _check(where, check_texts, text)
            captions.append(text)
    return captions


def _check(where: str, check: Any, value: object) -> None:
    try:
        check(value)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _is_list(content: object) -> bool:
    """Whether the first object of a list names a photo; one with an `image_id` alone is a result that is to be scored."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and any(name in first for name in PHOTO_COLUMNS if name != "image_id")


def _is_mapping(content: object) -> bool:
    return isinstance(content, dict) and bool(content) and is_photo_name(next(iter(content)))


def _looks_like_records(path: Path) -> bool:
    """Whether a file begins as a list of photos, without reading all of it."""
    head = sample_of(path).lstrip("\ufeff \t\r\n")
    names = any(f'"{name}"' in head.lower() for name in PHOTO_COLUMNS)
    texts = any(f'"{name}' in head.lower() for name in (*CAPTION_COLUMNS, "sentences"))
    if path.suffix.lower() == ".json" and not head.startswith("["):
        key = head[1:].lstrip()[1:].partition('"')[0]
        return head.startswith("{") and is_photo_name(key)
    return head[:1] in ("{", "[") and names and texts
