"""A small grammar that speaks about scenes, and a reader that understands it and tells which statements are true.

A caption begins with the large shape, as people begin with what strikes the eye, and says where it lies by a neighbour.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from showattend.data.shapes.scene import COLORS, KINDS, RADII, Scene, Shape, neighbours, relation

# One and other are noun phrases, place is a relation, count is how many shapes there are.
TEMPLATES = (
    "{one} is {place} {other}",
    "there is {one} {place} {other}",
    "{one} {place} {other}",
    "we see {one} {place} {other}",
    "{count} shapes with {one} {place} {other}",
)
PLACES = {
    "left": ("left of",),
    "right": ("right of",),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
COUNTS = {2: "two", 3: "three", 4: "four"}
CAPTIONS = 5


class Phrase(NamedTuple):
    """A noun phrase: its words are caption[first:last], the last of them the noun; and the shape that it names."""

    first: int
    last: int
    shape: Shape


class Utterance(NamedTuple):
    """A caption in words, and its noun phrases in order."""

    words: list[str]
    phrases: list[Phrase]


def describe(scene: Scene, chance: random.Random, captions: int = CAPTIONS) -> list[Utterance]:
    """Say different things of a scene, each in another way."""
    return [_say(template, scene, chance) for template in chance.sample(TEMPLATES, captions)]


def _say(template: str, scene: Scene, chance: random.Random) -> Utterance:
    one = scene.shapes[0]
    where, other = chance.choice(list(neighbours(one, scene).items()))
    fillings = {
        "{one}": _noun_phrase(one, chance),
        "{other}": _noun_phrase(other, chance),
        "{place}": chance.choice(PLACES[where]).split(),
        "{count}": [COUNTS[len(scene.shapes)]],
    }
    words: list[str] = []
    phrases = []
    for part in template.split():
        filling = fillings.get(part, [part])
        if part in ("{one}", "{other}"):
            phrases.append(Phrase(len(words), len(words) + len(filling), one if part == "{one}" else other))
        words += filling
    return Utterance(words, phrases)


def _noun_phrase(shape: Shape, chance: random.Random) -> list[str]:
    size = [shape.size] if chance.random() < 0.4 else []
    return ["a", *size, shape.color, shape.kind]


class Mention(NamedTuple):
    """A noun in a caption: its place among the words, what is said of it, and the shape that fits best, if any fits."""

    noun: int
    kind: str
    color: str | None
    size: str | None
    shape: Shape | None

    @property
    def exists(self) -> bool:
        """Whether the scene holds a shape of which all of this is true."""
        return (
            self.shape is not None
            and self.size in (None, self.shape.size)
            and (self.kind, self.color) == (self.shape.kind, self.shape.color)
        )


class ParsedCaption(NamedTuple):
    """What a caption states of a scene: each statement (its sort, whether it is true), and its nouns."""

    statements: list[tuple[str, bool]]
    mentions: list[Mention]


def parse_caption(words: Sequence[str], scene: Scene) -> ParsedCaption:
    """Understand a caption of the grammar, or a garbled one as far as it goes.

    A noun states a kind, an adjective a colour or a size, and `left of` and the like a relation between the nouns beside
    it. A colour or size is true if the scene holds a shape of that kind which has it; a relation, if both nouns are.
    """
    statements: list[tuple[str, bool]] = []
    mentions: list[Mention] = []
    color = size = place = None
    for i, word in enumerate(words):
        if word in COLORS:
            color = word
        elif word in RADII:
            size = word
        elif word in COUNTS.values():
            statements.append(("count", word == COUNTS[len(scene.shapes)]))
        elif place_of(word):
            place = place_of(word)
        elif word in KINDS:
            mention = _find(i, word, color, size, scene)
            statements += _truths(mention, scene)
            if place and mentions:
                one, other = mentions[-1], mention
                both = one.shape is not None and other.shape is not None and one.exists and other.exists
                statements.append(("relation", both and relation(one.shape, other.shape) == place))  # type: ignore[arg-type]
            mentions.append(mention)
            color = size = place = None
    return ParsedCaption(statements, mentions)


def place_of(word: str) -> str | None:
    """The relation that a word stands for."""
    return next((place for place, said in PLACES.items() if any(word == phrase.split()[0] for phrase in said)), None)


def _find(noun: int, kind: str, color: str | None, size: str | None, scene: Scene) -> Mention:
    def fit(shape: Shape) -> int:
        return 4 * (shape.kind == kind) + 2 * (shape.color == color) + (shape.size == size)

    best = max(scene.shapes, key=fit)
    return Mention(noun, kind, color, size, best if fit(best) > 1 else None)


def _truths(mention: Mention, scene: Scene) -> list[tuple[str, bool]]:
    shape = mention.shape
    said = {"kind": mention.kind, "color": mention.color, "size": mention.size}
    return [(sort, shape is not None and getattr(shape, sort) == value) for sort, value in said.items() if value is not None]
