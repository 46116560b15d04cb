"""A small grammar that describes scenes, and a parser that finds which statements of a caption are true of a scene.

A caption begins with the large shape and gives its position relative to a neighbour.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from showattend.data.shapes.languages import ENGLISH, LANGUAGES, SLOT, Language
from showattend.data.shapes.scene import COLORS, KINDS, RADII, Scene, Shape, neighbours, relation

CAPTIONS = 5
# The parser knows English only.
RELATION_PHRASES, COUNT_WORDS = LANGUAGES[ENGLISH].places, LANGUAGES[ENGLISH].counts


class Phrase(NamedTuple):
    """A noun phrase: its words are caption[first:last], in English the last of them the noun; and the shape that it names."""

    first: int
    last: int
    shape: Shape


class Description(NamedTuple):
    """A caption in words, and its noun phrases in order."""

    words: list[str]
    phrases: list[Phrase]


def describe_scene(
    scene: Scene, rng: random.Random, captions: int = CAPTIONS, language: Language = LANGUAGES[ENGLISH]
) -> list[Description]:
    """Different captions of a scene, each from a template of its own."""
    return [_fill_template(template, scene, rng, language) for template in rng.sample(language.templates, captions)]


def _fill_template(template: str, scene: Scene, rng: random.Random, language: Language) -> Description:
    one = scene.shapes[0]
    relation_to_other, other = rng.choice(list(neighbours(one, scene).items()))
    shapes = {"one": (one, _says_size(rng)), "other": (other, _says_size(rng))}
    phrase_of = {"place": rng.choice(language.places[relation_to_other]), "count": language.counts[len(scene.shapes)]}
    words: list[str] = []
    phrases = []
    for part in template.split():
        slot = SLOT.fullmatch(part)
        if slot and slot[1] in shapes:
            shape, with_size = shapes[slot[1]]
            filling = language.noun_phrase(shape, with_size, slot[2] or "")
            phrases.append(Phrase(len(words), len(words) + len(filling), shape))
        else:
            filling = language.words(phrase_of[slot[1]] if slot else part)
        words += filling
    return Description(words, phrases)


def _says_size(rng: random.Random) -> bool:
    return rng.random() < 0.4


class ParsedNoun(NamedTuple):
    """A noun in a caption, with its adjectives.

    position: index of the noun among the caption's words
    shape: the shape of the scene that fits best; None: no shape fits
    """

    position: int
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
    """The statements of a caption about a scene, each with its sort and whether it is true, and the nouns of the caption."""

    statements: list[tuple[str, bool]]
    nouns: list[ParsedNoun]


def parse_caption(words: Sequence[str], scene: Scene) -> ParsedCaption:
    """Find the statements of a caption of the grammar, or of any other caption as far as the grammar goes.

    A noun states a kind, an adjective a colour or a size, and `left of` and the like a relation between the nouns before and
    after it. A colour or size is true if the shape that fits the noun best has it; a relation, if both nouns exist and lie so.
    """
    statements: list[tuple[str, bool]] = []
    nouns: list[ParsedNoun] = []
    color = size = stated_relation = None
    for i, word in enumerate(words):
        if word in COLORS:
            color = word
        elif word in RADII:
            size = word
        elif word in COUNT_WORDS.values():
            statements.append(("count", word == COUNT_WORDS[len(scene.shapes)]))
        elif relation_of(word):
            stated_relation = relation_of(word)
        elif word in KINDS:
            noun = _best_fit(i, word, color, size, scene)
            statements += _noun_statements(noun)
            if stated_relation and nouns:
                statements.append(("relation", _is_related(nouns[-1], noun, stated_relation)))
            nouns.append(noun)
            color = size = stated_relation = None
    return ParsedCaption(statements, nouns)


def relation_of(word: str) -> str | None:
    """The relation that a word stands for."""
    return next((name for name, phrases in RELATION_PHRASES.items() if any(word == phrase.split()[0] for phrase in phrases)), None)


def _best_fit(position: int, kind: str, color: str | None, size: str | None, scene: Scene) -> ParsedNoun:
    def fit(shape: Shape) -> int:
        return 4 * (shape.kind == kind) + 2 * (shape.color == color) + (shape.size == size)

    best = max(scene.shapes, key=fit)
    return ParsedNoun(position, kind, color, size, best if fit(best) > 1 else None)


def _noun_statements(noun: ParsedNoun) -> list[tuple[str, bool]]:
    """What a noun and its adjectives state: sort, and whether the shape that fits best has it."""
    stated = {"kind": noun.kind, "color": noun.color, "size": noun.size}
    return [(sort, noun.shape is not None and getattr(noun.shape, sort) == value) for sort, value in stated.items() if value is not None]


def _is_related(one: ParsedNoun, other: ParsedNoun, stated: str) -> bool:
    """Whether both nouns exist, and the first one lies as stated from the second."""
    if one.shape is None or other.shape is None or not (one.exists and other.exists):
        return False
    return relation(one.shape, other.shape) == stated
