"""COCO's captions as they are published (Chen et al. 2015), and files in the same format."""

from collections import defaultdict
from pathlib import Path

import msgspec

from showattend.data.json_files import check_file_names, check_schema, check_texts
from showattend.data.listings import SPLITS, ListedPhoto, Listing, ListingFile, PhotoId
from showattend.data.readers.base import CAPTION_READERS, CaptionReader
from showattend.errors import InputError


class Image(msgspec.Struct):
    """One photo; references may leave its file's name out, as pycocotools allows."""

    id: PhotoId
    file_name: str | None = None

    def __post_init__(self) -> None:
        check_file_names(self.id, self.file_name)


class Annotation(msgspec.Struct):
    """One caption of one photo."""

    image_id: PhotoId
    caption: str | None

    def __post_init__(self) -> None:
        check_texts(self.image_id, self.caption)


class Content(msgspec.Struct):
    """The whole file."""

    images: list[Image]
    annotations: list[Annotation]


@CAPTION_READERS.register("coco")
class CocoReader(CaptionReader):
    """annotations/captions_PART.json, and the photos of each part in a folder of its name, such as train2017."""

    signs = ("annotations/captions_*.json",)
    file_format = "COCO's captions"

    def read(self, root: Path) -> Listing:
        """Photos of all parts whose names begin with that of a split."""
        photos = []
        for path in sorted(root.glob(self.signs[0])):
            part = path.stem.removeprefix("captions_")
            split = next((split for split in SPLITS if part.startswith(split)), None)
            if split is not None:
                for photo in self.read_file(ListingFile(path)).photos:
                    if photo.file is None:
                        raise InputError(f"{path}: the photo {photo.id} has no file_name: a data set needs it")
                    photos.append(photo._replace(file=root / part / photo.file, split=split))
        return Listing(photos)

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is a JSON object with annotations."""
        return file.starts_as_json and isinstance(file.json, dict) and "annotations" in file.json

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their numbers, in the order of `images`."""
        content = check_schema(file.json, Content, f"{file.path} is not in COCO's format of captions")
        captions: dict[PhotoId, list[str | None]] = defaultdict(list)
        for annotation in content.annotations:
            captions[annotation.image_id].append(annotation.caption)
        _check_listed(file.path, captions, content.images)
        return Listing(
            [
                ListedPhoto(image.id, Path(image.file_name) if image.file_name else None, captions.get(image.id, []))
                for image in content.images
            ]
        )


def _check_listed(path: Path, captions: dict[PhotoId, list[str | None]], images: list[Image]) -> None:
    """Refuse captions of photos that the file does not list."""
    known = {image.id for image in images}
    unlisted = [photo for photo in captions if photo not in known]
    if unlisted:
        raise InputError(
            f"{path} has captions of {len(unlisted)} photos that its images do not list, such as {unlisted[0]}: add or remove them"
        )
