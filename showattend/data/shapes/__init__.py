"""The embedded data set: pictures of coloured shapes, described by a small grammar, with the scene of each picture."""

from showattend.data.shapes.dataset import INDEX, read_scenes, write_shapes
from showattend.data.shapes.grammar import ParsedCaption, ParsedNoun, describe, parse_caption
from showattend.data.shapes.scene import SIZE, Scene, Shape

__all__ = ["INDEX", "SIZE", "ParsedCaption", "ParsedNoun", "Scene", "Shape", "describe", "parse_caption", "read_scenes", "write_shapes"]
