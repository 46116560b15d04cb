"""COCO's captions as they are published (Chen et al. 2015), and files in the same format."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from showattend.data.folders import DataFolder
from showattend.data.json_files import check_file_names, check_schema, check_texts
from showattend.data.listings import ListedPhoto, Listing, ListingFile, PhotoId, split_in_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos
from showattend.errors import InputError


class CocoImage(msgspec.Struct):
    """One photo; references may leave its file's name out, as pycocotools allows."""

    id: PhotoId
    file_name: str | None = None

    def __post_init__(self) -> None:
        check_file_names(self.id, self.file_name)


class CocoCaption(msgspec.Struct):
    """One caption of one photo."""

    image_id: PhotoId
    caption: str | None
    is_rejected: bool = False  # in VizWiz: no description of the photo
    is_precanned: bool = False  # in VizWiz: "Quality issues are too severe to recognize visual content."

    def __post_init__(self) -> None:
        check_texts(self.image_id, self.caption)


class CocoCaptionFile(msgspec.Struct):
    """The whole file."""

    images: list[CocoImage]
    annotations: list[CocoCaption]


@CAPTION_READERS.register("coco")
class CocoReader(CaptionReader):
    """annotations/captions_PART.json, and the photos of each part in a folder of its name, such as train2017."""

    signs = ("annotations/captions_*.json", "captions_*.json")
    example = "annotations/captions_train2017.json and train2017/NAME.jpg"
    file_format = "COCO's captions"

    def read(self, root: DataFolder) -> Listing:
        """Photos of all parts whose names begin with that of a split."""
        parts = {path.stem.removeprefix("captions_"): path for path in self.find(root)}
        parts = {part: path for part, path in parts.items() if split_in_name(part)}
        year, note = _choose_year(root, list(parts))
        listings = [read_part(root, path, part) for part, path in parts.items() if _year(part) == year]
        notes = [*([note] if note else []), *(note for listing in listings for note in listing.notes)]
        ids = [{photo.id for photo in listing.photos} for listing in listings]
        if len(set().union(*ids)) < sum(map(len, ids)):
            listings = [_called_by_file(root, listing) for listing in listings]
            notes.append(f"several files of {root} give the same number to different photos, which are called by their files therefore")
        return Listing([photo for listing in listings for photo in listing.photos], notes)

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is a JSON object with annotations."""
        return file.starts_as_json and not file.is_json_lines and isinstance(file.json, dict) and "annotations" in file.json

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their ids, in the order of `images`."""
        content = check_schema(file.json, CocoCaptionFile, f"{file.path} is not in COCO's format of captions")
        captions: dict[PhotoId, list[str | None]] = defaultdict(list)
        rejected = [annotation for annotation in content.annotations if annotation.is_rejected or annotation.is_precanned]
        for annotation in content.annotations:
            if not (annotation.is_rejected or annotation.is_precanned):
                captions[annotation.image_id].append(annotation.caption)
        _check_listed(file.path, captions, content.images)
        return Listing(
            [
                ListedPhoto(image.id, Path(image.file_name) if image.file_name else None, captions.get(image.id, []))
                for image in content.images
            ],
            [
                *file.notes,
                *([f"{len(rejected)} captions of {file.path} that are marked as rejected or precanned, left out"] if rejected else []),
            ],
        )


def read_part(root: DataFolder, path: Path, part: str) -> Listing:
    """The photos of one file, which lie in a folder named like its part.

    Raises:
        InputError: a photo has no name of a file.
    """
    listing = CocoReader().read_file(ListingFile(path))
    unnamed = next((photo for photo in listing.photos if photo.file is None), None)
    if unnamed is not None:
        raise InputError(f"{path}: the photo {unnamed.id} has no file_name: a data set needs it")
    folders = (part, f"{part}_images", split_in_name(part))
    return place_photos(root, listing._replace(photos=[photo._replace(split=split_in_name(part)) for photo in listing.photos]), *folders)


def _called_by_file(root: DataFolder, listing: Listing) -> Listing:
    """Photos whose ids are their paths in the data set's folder; those without a file keep theirs, and are left out later."""
    return listing._replace(photos=[photo._replace(id=_name(photo, root.root)) for photo in listing.photos])


def _name(photo: ListedPhoto, root: Path) -> PhotoId:
    if photo.file is None:
        return photo.id
    return (photo.file.relative_to(root) if photo.file.is_relative_to(root) else photo.file).as_posix()


def _year(part: str) -> str:
    """The year in the name of a part, such as `train2017`; empty: none."""
    return match[0] if (match := re.search(r"(19|20)\d\d", part)) else ""


def _choose_year(root: DataFolder, parts: Sequence[str]) -> tuple[str, str]:
    """COCO of 2014 and of 2017 are the same photos: take the one whose photos are here, the newer one of two, and say so."""
    years = sorted({_year(part) for part in parts})
    if len(years) < 2:
        return "".join(years), ""
    folders = {part for name in root.files for part in PurePosixPath(name).parts[:-1]}
    year = max(years, key=lambda year: (sum(part in folders for part in parts if _year(part) == year), year))
    left_out = ", ".join(f"captions_{part}.json" for part in parts if _year(part) != year)
    return year, f"{root} has captions of several years, which share photos: {left_out} left out"


def _check_listed(path: Path, captions: dict[PhotoId, list[str | None]], images: list[CocoImage]) -> None:
    """Refuse captions of photos that the file does not list."""
    known = {image.id for image in images}
    unlisted = [photo for photo in captions if photo not in known]
    if unlisted:
        raise InputError(
            f"{path} has captions of {len(unlisted)} photos that its images do not list, such as {unlisted[0]}: add or remove them"
        )
