"""Which words of a caption name objects of a photo, and where these lie: one reader for each kind of annotation."""

from showattend.data.boxes.base import ObjectBoxes, ObjectWord
from showattend.data.boxes.readers import READERS, read_boxes
from showattend.data.boxes.shapes import shape_words

__all__ = ["READERS", "ObjectBoxes", "ObjectWord", "read_boxes", "shape_words"]
