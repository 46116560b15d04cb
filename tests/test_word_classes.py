"""Nouns, verbs and the closed classes of English captions, without a tagger."""

from showattend.vocabulary.word_classes import WordClasses

CAPTIONS = """
a black dog runs through the tall grass
two dogs are running in the snow
a man in a red shirt rides a bike
the man is riding along the water
a boy jumps into the water
a girl is jumping over a rock
two dogs run in front of a brown rock
a woman plays with a black dog
children playing near the water
a little boy carries a ball
a man is carrying a red ball
"""
CLASS_OF = WordClasses(line.split() for line in CAPTIONS.strip().splitlines())


def test_heads_of_phrases_are_nouns_and_their_adjectives_are_not() -> None:
    words = {word for line in CAPTIONS.split("\n") for word in line.split()}
    nouns = {word for word in words if CLASS_OF(word) == "noun"}
    assert nouns == {"dog", "dogs", "grass", "snow", "man", "shirt", "bike", "water", "boy", "girl", "rock", "woman", "children", "ball"}


def test_forms_of_verbs_and_closed_classes() -> None:
    assert {CLASS_OF(word) for word in ("runs", "running", "rides", "jumps", "playing", "plays", "carries", "run")} == {"verb"}
    assert {CLASS_OF(word) for word in ("a", "the", "two")} == {"determiner"}
    assert {CLASS_OF(word) for word in ("in", "through", "over")} == {"preposition"}
    assert {CLASS_OF(word) for word in ("black", "red", "is", "unheard")} == {"other"}
