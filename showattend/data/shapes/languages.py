"""The languages in which scenes of shapes are described: words, their forms, and five patterns of sentences for each."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from showattend.data.shapes.scene import Shape
from showattend.errors import find_by_name

ENGLISH = "en"
SLOT = re.compile(r"\{(one|other|place|count)(?:\.(\w+))?\}")


class Language(NamedTuple):
    """How one language describes a scene.

    templates: parts with spaces between them: words, or {one} and {other}, noun phrases, {place}, the relation of the first to the second,
        {count}, the number of shapes; a case may stand behind a slot, as in {other.dative}
    places: the phrases for each relation
    counts: for each number of shapes
    noun_phrase: the words for a shape, with its size or without, in a case
    spaced: whether words are written with spaces between them; if not, each character is a word
    """

    templates: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]
    counts: Mapping[int, str]
    noun_phrase: Callable[[Shape, bool, str], list[str]]
    spaced: bool = True

    def words(self, phrase: str) -> list[str]:
        """The words of a phrase of this language."""
        return phrase.split() if self.spaced else list(phrase.replace(" ", ""))

    def join(self, words: list[str]) -> str:
        """The text of some words."""
        return (" " if self.spaced else "").join(words)


def _english(shape: Shape, with_size: bool, case: str) -> list[str]:
    return ["a", *([shape.size] if with_size else []), shape.color, shape.kind]


GERMAN_NOUNS = {
    "circle": ("Kreis", "m"),
    "square": ("Quadrat", "n"),
    "triangle": ("Dreieck", "n"),
    "star": ("Stern", "m"),
    "cross": ("Kreuz", "n"),
}
GERMAN_ADJECTIVES = {
    **{"red": "rot", "green": "grün", "blue": "blau", "yellow": "gelb", "purple": "violett", "white": "weiß"},
    **{"small": "klein", "large": "groß"},
}
# The indefinite article, and the ending of the adjectives behind it.
GERMAN_ENDINGS = {
    ("m", ""): ("ein", "er"),
    ("n", ""): ("ein", "es"),
    ("m", "accusative"): ("einen", "en"),
    ("n", "accusative"): ("ein", "es"),
    ("m", "dative"): ("einem", "en"),
    ("n", "dative"): ("einem", "en"),
}


def _german(shape: Shape, with_size: bool, case: str) -> list[str]:
    noun, gender = GERMAN_NOUNS[shape.kind]
    article, ending = GERMAN_ENDINGS[gender, case]
    stems = [GERMAN_ADJECTIVES[word] for word in (*([shape.size] if with_size else []), shape.color)]
    return [article, *(stem + ending for stem in stems), noun]


CHINESE = {
    **{"circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "cross": "十字形"},
    **{"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "white": "白色"},
    **{"small": "小", "large": "大"},
}


def _chinese(shape: Shape, with_size: bool, case: str) -> list[str]:
    return list(f"一个{CHINESE[shape.color]}的{CHINESE[shape.size] if with_size else ''}{CHINESE[shape.kind]}")


ARABIC_NOUNS = {"circle": ("دائرة", "f"), "square": ("مربع", "m"), "triangle": ("مثلث", "m"), "star": ("نجمة", "f"), "cross": ("صليب", "m")}
# Masculine and feminine.
ARABIC_ADJECTIVES = {
    "red": {"m": "أحمر", "f": "حمراء"},
    "green": {"m": "أخضر", "f": "خضراء"},
    "blue": {"m": "أزرق", "f": "زرقاء"},
    "yellow": {"m": "أصفر", "f": "صفراء"},
    "purple": {"m": "بنفسجي", "f": "بنفسجية"},
    "white": {"m": "أبيض", "f": "بيضاء"},
    "small": {"m": "صغير", "f": "صغيرة"},
    "large": {"m": "كبير", "f": "كبيرة"},
}


def _arabic(shape: Shape, with_size: bool, case: str) -> list[str]:
    noun, gender = ARABIC_NOUNS[shape.kind]
    return [noun, *(ARABIC_ADJECTIVES[word][gender] for word in (shape.color, *([shape.size] if with_size else [])))]


LANGUAGES = {
    ENGLISH: Language(
        (
            "{one} is {place} {other}",
            "there is {one} {place} {other}",
            "{one} {place} {other}",
            "we see {one} {place} {other}",
            "{count} shapes with {one} {place} {other}",
        ),
        {"left": ("left of",), "right": ("right of",), "above": ("above", "over"), "below": ("below", "under")},
        {2: "two", 3: "three", 4: "four"},
        _english,
    ),
    "de": Language(
        (
            "{one} ist {place} {other.dative}",
            "es gibt {one.accusative} {place} {other.dative}",
            "{one} {place} {other.dative}",
            "wir sehen {one.accusative} {place} {other.dative}",
            "{count} Formen mit {one.dative} {place} {other.dative}",
        ),
        {"left": ("links von",), "right": ("rechts von",), "above": ("über", "oberhalb von"), "below": ("unter", "unterhalb von")},
        {2: "zwei", 3: "drei", 4: "vier"},
        _german,
    ),
    "zh": Language(
        (
            "{one} 在 {other} 的 {place}",
            "图中有 {one} 在 {other} 的 {place}",
            "{other} 的 {place} 是 {one}",
            "我们看到 {one} 在 {other} 的 {place}",
            "{count} 个图形 其中 {one} 在 {other} 的 {place}",
        ),
        {"left": ("左边",), "right": ("右边",), "above": ("上面", "上方"), "below": ("下面", "下方")},
        {2: "两", 3: "三", 4: "四"},
        _chinese,
        spaced=False,
    ),
    "ar": Language(
        (
            "{one} {place} {other}",
            "هناك {one} {place} {other}",
            "في الصورة {one} {place} {other}",
            "هنا {one} {place} {other}",
            "{count} مع {one} {place} {other}",
        ),
        {"left": ("على يسار",), "right": ("على يمين",), "above": ("فوق", "أعلى"), "below": ("تحت", "أسفل")},
        {2: "شكلان", 3: "ثلاثة أشكال", 4: "أربعة أشكال"},
        _arabic,
    ),
}


def find_language(code: str) -> Language:
    """The language of a code.

    Raises:
        InputError: there is none.
    """
    return find_by_name("language", code, LANGUAGES)
