"""COCO's instances (Lin et al. 2014): boxes by category, and words that name categories."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from showattend.data.boxes.base import BOX_READERS, ObjectBoxes, ObjectWord
from showattend.data.boxes.names import category_names
from showattend.data.captions import Photo
from showattend.data.json_files import check_schema, check_texts, read_json
from showattend.data.listings import PhotoId
from showattend.errors import InputError
from showattend.geometry import Box


class Category(msgspec.Struct):
    """One kind of object."""

    id: PhotoId
    name: str

    def __post_init__(self) -> None:
        check_texts(self.id, self.name)


class InstanceImage(msgspec.Struct):
    """One photo, and the size of the picture that was annotated."""

    id: PhotoId
    file_name: str
    width: int
    height: int


class Instance(msgspec.Struct):
    """One object: its box is left, upper, width, height."""

    image_id: PhotoId
    category_id: PhotoId
    bbox: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.bbox)):
            raise ValueError(f"the bbox {list(self.bbox)} is not finite")

    def box(self) -> Box:
        """Left, upper, right, lower."""
        left, upper, width, height = self.bbox
        return left, upper, left + width, upper + height


class InstancesFile(msgspec.Struct):
    """The whole file."""

    categories: list[Category]
    images: list[InstanceImage]
    annotations: list[Instance]


@BOX_READERS.register("coco")
class CocoBoxes(ObjectBoxes):
    """Instances of the photos of a split; boxes of crowds count too, for a word such as "people".

    Read are annotations/instances_PART.json of the parts, such as val2014, whose folders hold the photos; all parts where no
    folder has such a name.

    Raises:
        InputError: a file is not in COCO's format of instances.
    """

    signs = ("annotations/instances_*.json",)

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        paths = sorted(root.glob(self.signs[0]))
        folders = {photo.path.parent.name for photo in photos}
        names = {photo.path.name for photo in photos}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.boxes: dict[str, dict[str, tuple[Box, ...]]] = {}
        categories: dict[str, None] = {}
        for path in [path for path in paths if path.stem.removeprefix("instances_") in folders] or paths:
            categories |= dict.fromkeys(self._read(path, names))
        self.names = category_names(categories)
        self.longest = max(map(len, self.names), default=0)

    def _read(self, path: Path, photo_names: set[str]) -> list[str]:
        """Add the boxes of some photos from one file; returns the names of its categories."""
        content = check_schema(read_json(path), InstancesFile, f"{path} is not in COCO's format of instances")
        categories = {category.id: category.name for category in content.categories}
        if not categories:
            raise InputError(f"{path} is not in COCO's format of instances: categories: it lists none")
        file_names = {image.id: image.file_name for image in content.images if image.file_name in photo_names}
        for image in content.images:
            if image.file_name in photo_names:
                self.sizes[image.file_name] = image.width, image.height
        boxes: dict[str, dict[str, list[Box]]] = {name: defaultdict(list) for name in file_names.values()}
        for number, instance in enumerate(content.annotations):
            if instance.category_id not in categories:
                where = f"{path} is not in COCO's format of instances: annotations[{number}].category_id"
                raise InputError(f"{where}: no category has the id {instance.category_id}")
            if instance.image_id in file_names:
                boxes[file_names[instance.image_id]][categories[instance.category_id]].append(instance.box())
        self.boxes |= {name: {category: tuple(found) for category, found in of_photo.items()} for name, of_photo in boxes.items()}
        return list(categories.values())

    def size(self, photo: Photo) -> tuple[int, int] | None:
        """Width and height from the file."""
        return self.sizes.get(photo.path.name)

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """Names of categories, the longest first: "hot dog" is no dog. The last word of a name stands for it."""
        boxes = self.boxes[photo.path.name]
        object_words = []
        position = 0
        while position < len(words):
            candidates = (tuple(words[position : position + length]) for length in range(self.longest, 0, -1))
            name = next((name for name in candidates if name in self.names), ())
            if name:
                category = self.names[name]
                object_words.append(ObjectWord(position + len(name) - 1, category, boxes.get(category, ())))
            position += max(1, len(name))
        return object_words
