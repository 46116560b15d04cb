"""Flickr30k Entities (Plummer et al. 2015): boxes of the phrases of Flickr30k's own captions.

Annotations/NAME.xml has boxes by the number of an entity, Sentences/NAME.txt has a caption a line, with its phrases marked:
[/EN#NUMBER/type/type words of the phrase]. A phrase's last word, its head noun, names the entity.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tqdm import tqdm

from showattend.data.boxes.base import BOX_READERS, ObjectBoxes, ObjectWord
from showattend.data.captions import Photo
from showattend.data.text_files import read_text, split_lines
from showattend.errors import InputError
from showattend.geometry import Box
from showattend.vocabulary import tokenize

PHRASE = re.compile(r"\[/EN#(\d{1,20})/\S{1,200} ([^\[\]]*)\]")
NOT_VISUAL = "0"  # the entity of phrases such as "the background", which name nothing that can be seen


class Head(NamedTuple):
    """The last word of a phrase, its index in the caption, and the number of the entity that the phrase names."""

    position: int
    noun: str
    entity: str


class PhotoAnnotation(NamedTuple):
    """The annotation of one photo: its size, the boxes of each entity, and its captions in words with their phrases' heads."""

    size: tuple[int, int]
    boxes: dict[str, tuple[Box, ...]]
    sentences: list[tuple[list[str], list[Head]]]

    def object_words(self, heads: Sequence[Head]) -> list[ObjectWord]:
        """Heads with their entities' boxes; scenes, and what the annotators drew no box for, have none."""
        return [ObjectWord(head.position, head.noun, self.boxes.get(head.entity, ())) for head in heads]


@BOX_READERS.register("entities")
class EntitiesBoxes(ObjectBoxes):
    """Entities of the photos of a split.

    In a model's own caption a word names the objects of the phrases with that head noun in the photo's captions. It names
    nothing if the noun is only in captions of other photos.

    Raises:
        InputError: a file is not in the format of Flickr30k Entities.
    """

    signs = ("Sentences/*.txt",)

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        self.annotations: dict[str, PhotoAnnotation] = {}
        for photo in tqdm(photos, desc="Reading boxes", unit=" photos"):
            xml, sentences = root / "Annotations" / f"{photo.path.stem}.xml", root / "Sentences" / f"{photo.path.stem}.txt"
            if xml.is_file() and sentences.is_file():
                self.annotations[photo.path.stem] = PhotoAnnotation(*read_xml(xml), read_sentences(sentences))
        self.nouns = {head.noun for annotation in self.annotations.values() for _, heads in annotation.sentences for head in heads}

    def size(self, photo: Photo) -> tuple[int, int] | None:
        """Width and height from the photo's XML."""
        return self.annotations[photo.path.stem].size if photo.path.stem in self.annotations else None

    def references(self, photo: Photo) -> list[tuple[list[str], list[ObjectWord]]]:
        """The marked captions: each phrase names its own entity."""
        annotation = self.annotations[photo.path.stem]
        return [(words, annotation.object_words(heads)) for words, heads in annotation.sentences]

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """Words that are head nouns."""
        annotation = self.annotations[photo.path.stem]
        boxes: dict[str, dict[Box, None]] = defaultdict(dict)
        for _, heads in annotation.sentences:
            for word in annotation.object_words(heads):
                boxes[word.noun] |= dict.fromkeys(word.boxes)
        return [ObjectWord(place, word, tuple(boxes.get(word, ()))) for place, word in enumerate(words) if word in self.nouns]


def read_xml(path: Path) -> tuple[tuple[int, int], dict[str, tuple[Box, ...]]]:
    """Size and boxes of one photo; an entity may have several boxes, and a box several entities.

    The files count pixels from 1 and name the last one inside: xmin 1 and xmax 10 are the pixels' edges 0 and 10.

    Raises:
        InputError: the file is not in this format.
    """
    try:
        root = ElementTree.fromstring(read_text(path))
        size = int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))
        boxes: dict[str, tuple[Box, ...]] = defaultdict(tuple)
        for annotated in root.findall("object[bndbox]"):
            left, upper, right, lower = (float(annotated.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            if not all(map(math.isfinite, (left, upper, right, lower))):
                raise ValueError("an edge of a box is not finite")
            for name in annotated.findall("name"):
                boxes[str(name.text)] += ((left - 1, upper - 1, right, lower),)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path} is no XML of Flickr30k Entities (size, objects with name and bndbox): {error}") from error
    return size, dict(boxes)


def read_sentences(path: Path) -> list[tuple[list[str], list[Head]]]:
    """The captions of one photo in words, and the heads of their phrases.

    Raises:
        InputError: a phrase has no end, or there is no caption.
    """
    sentences = []
    for number, line in enumerate(split_lines(read_text(path)), 1):
        words: list[str] = []
        heads = []
        end = 0
        for phrase in PHRASE.finditer(line):
            words += tokenize(line[end : phrase.start()])
            inner = tokenize(phrase.group(2))
            words += inner
            if inner and phrase.group(1) != NOT_VISUAL:
                heads.append(Head(len(words) - 1, words[-1], phrase.group(1)))
            end = phrase.end()
        words += tokenize(line[end:])
        if len(PHRASE.findall(line)) != line.count("[/EN#"):
            raise InputError(f"{path} line {number}: expected phrases as [/EN#NUMBER/type words], found {line[:60]!r}")
        if words:
            sentences.append((words, heads))
    if not sentences:
        raise InputError(f"{path} holds no caption: take it and the XML of that name out, or put it right")
    return sentences
