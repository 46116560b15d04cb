"""Captions in COCO's format under other names: VizWiz, NoCaps, and exports of labelling programs."""

import re
from pathlib import Path

from showattend.data.folders import DataFolder
from showattend.data.json_files import sample_of
from showattend.data.listings import Listing
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, split_by_tenths
from showattend.data.readers.coco import read_part

CAPTION = re.compile(r'"caption"\s*:')
PHOTO = re.compile(r'"image_id"\s*:')


@CAPTION_READERS.register("coco-like")
class CocoLikeReader(CaptionReader):
    """JSON files with `images` and `annotations`; a split in a file's name is that of its photos."""

    signs = ("annotations/*.json", "*.json")
    example = "annotations/train.json and train/NAME.jpg"

    def find(self, root: DataFolder) -> list[Path]:
        """Files that begin or end as COCO's captions do."""
        return root.find(self.signs, _looks_like_coco)

    def read(self, root: DataFolder) -> Listing:
        """Photos of all files; where no file's name holds a split, every tenth is for validation and every tenth for the test."""
        listings = [read_part(root, path, path.stem) for path in self.find(root)]
        photos = [photo for listing in listings for photo in listing.photos]
        return split_by_tenths(Listing(photos, [note for listing in listings for note in listing.notes]))


def _looks_like_coco(path: Path) -> bool:
    sample = sample_of(path)
    keys = '"images"' in sample or '"annotations"' in sample
    return sample.lstrip("\ufeff \t\r\n").startswith("{") and keys and bool(CAPTION.search(sample) and PHOTO.search(sample))
