"""Captions and alphas of pictures of shapes against the scenes that were drawn."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from showattend.data.boxes import shape_words
from showattend.data.shapes import Scene, parse_caption
from showattend.grounding.measures import points_at
from showattend.inference import Caption


class SceneScores(NamedTuple):
    """How well captions and attention fit the scenes, each a share from 0 to 1."""

    statements: dict[str, float]  # by sort (kind, color, size, relation, count), and `all`
    pointing: float  # nouns for which alpha's peak lies in the box of the shape that they name


def compare_with_scenes(captions: Mapping[str, Caption], scenes: Mapping[str, Scene]) -> SceneScores:
    """The shares of true statements and of nouns that are looked at; a noun that names no shape of its scene counts as a miss."""
    statements: dict[str, list[bool]] = defaultdict(list)
    hits: list[float] = []
    for name, caption in captions.items():
        parsed = parse_caption(caption.words, scenes[name])
        for sort, true in parsed.statements:
            statements[sort].append(true)
            statements["all"].append(true)
        hits += [points_at(caption, word) for word in shape_words(parsed)]
    return SceneScores({sort: sum(true) / len(true) for sort, true in statements.items()}, sum(hits) / max(1, len(hits)))
