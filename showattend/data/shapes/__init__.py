"""The embedded data set: pictures of coloured shapes, described by a small grammar, with the scene of each picture."""

from showattend.data.shapes.dataset import INDEX_FILE, read_language, read_scenes, write_shapes
from showattend.data.shapes.grammar import ParsedCaption, ParsedNoun, describe_scene, parse_caption
from showattend.data.shapes.languages import ENGLISH, LANGUAGES
from showattend.data.shapes.scene import SIZE, Scene, Shape

__all__ = [
    "ENGLISH",
    "INDEX_FILE",
    "LANGUAGES",
    "SIZE",
    "ParsedCaption",
    "ParsedNoun",
    "Scene",
    "Shape",
    "describe_scene",
    "parse_caption",
    "read_language",
    "read_scenes",
    "write_shapes",
]
