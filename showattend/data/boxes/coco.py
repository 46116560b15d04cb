"""COCO's instances (Lin et al. 2014): boxes by category, and words that name categories."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from showattend.data.boxes.base import ObjectBoxes, ObjectWord
from showattend.data.boxes.names import spoken_names
from showattend.data.captions import Photo
from showattend.data.coco import read_coco
from showattend.errors import InputError
from showattend.geometry import Box


class CocoBoxes(ObjectBoxes):
    """Instances of the photos of a split; boxes of crowds count too, for a word such as "people".

    Read are annotations/instances_PART.json of the parts, such as val2014, whose folders hold the photos; all parts where no
    folder has such a name.

    Raises:
        InputError: a file is not in COCO's format of instances.
    """

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        paths = sorted(root.glob("annotations/instances_*.json"))
        folders = {photo.path.parent.name for photo in photos}
        wanted = {photo.path.name for photo in photos}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.boxes: dict[str, dict[str, tuple[Box, ...]]] = {}
        categories: dict[str, None] = {}
        for path in [path for path in paths if path.stem.removeprefix("instances_") in folders] or paths:
            categories |= dict.fromkeys(self._read(path, wanted))
        self.names = spoken_names(categories)
        self.longest = max(map(len, self.names))

    def _read(self, path: Path, wanted: set[str]) -> list[str]:
        """Take in the wanted photos of one file; the names of its categories."""
        coco = read_coco(path)
        try:
            names: dict[int, str] = {number: category["name"] for number, category in coco.cats.items()}
            if not names:
                raise KeyError("categories")
            for image in coco.imgs.values():
                if image["file_name"] in wanted:
                    self.sizes[image["file_name"]] = int(image["width"]), int(image["height"])
                    boxes: dict[str, tuple[Box, ...]] = defaultdict(tuple)
                    for thing in coco.imgToAnns[image["id"]]:
                        left, upper, width, height = map(float, thing["bbox"])
                        boxes[names[thing["category_id"]]] += ((left, upper, left + width, upper + height),)
                    self.boxes[image["file_name"]] = dict(boxes)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not in COCO's format of instances (categories; images; bbox of each): {error!r}") from error
        return list(names.values())

    def size(self, photo: Photo) -> tuple[int, int] | None:
        """As the annotations say."""
        return self.sizes.get(photo.path.name)

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """Names of categories, the longest first: "hot dog" is no dog. The last word of a name stands for it."""
        boxes = self.boxes[photo.path.name]
        found = []
        place = 0
        while place < len(words):
            ahead = (tuple(words[place : place + length]) for length in range(self.longest, 0, -1))
            name = next((name for name in ahead if name in self.names), ())
            if name:
                category = self.names[name]
                found.append(ObjectWord(place + len(name) - 1, category, boxes.get(category, ())))
            place += max(1, len(name))
        return found
