"""Boxes of objects and the words that name them, one reader for each kind of annotation."""

from showattend.data.boxes.base import BOX_READERS, ObjectBoxes, ObjectWord
from showattend.data.boxes.readers import read_boxes
from showattend.data.boxes.shapes import shape_words

__all__ = ["BOX_READERS", "ObjectBoxes", "ObjectWord", "read_boxes", "shape_words"]
