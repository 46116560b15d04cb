"""The vocabulary: tokenising, building, encoding, and files."""

import json
from pathlib import Path

import pytest

from showattend.errors import InputError
from showattend.model_files import read_vocabulary
from showattend.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, tokenize

CAPTIONS = [["a", "dog", "runs"], ["a", "dog", "sleeps"], ["a", "cat"]]


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A black dog .", ["a", "black", "dog"]),
        ("Two dogs, one BALL!", ["two", "dogs", "one", "ball"]),
        ("a man's hat", ["a", "man", "'s", "hat"]),
        ("a tri-colored dog", ["a", "tri-colored", "dog"]),
        ("un café à Noël", ["un", "café", "à", "noël"]),
        (" ... ", []),
    ],
)
def test_tokens_are_lower_case_words_without_punctuation(caption: str, tokens: list[str]) -> None:
    assert tokenize(caption) == tokens


def test_words_are_ordered_by_count_then_spelling_and_counted_from_the_special_ones() -> None:
    assert Vocabulary.build(CAPTIONS).tokens == ["<pad>", "<start>", "<end>", "<unk>", "a", "dog", "cat", "runs", "sleeps"]
    assert Vocabulary.build(reversed(CAPTIONS)) == Vocabulary.build(CAPTIONS)
    assert Vocabulary.build(CAPTIONS, min_count=2).tokens[4:] == ["a", "dog"]
    assert Vocabulary.build(CAPTIONS, max_size=1).tokens[4:] == ["a"]


def test_decode_reverses_encode_up_to_unknown_words() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=2)
    token_ids = vocabulary.encode(["a", "dog", "barks"])
    assert token_ids == [START, 4, 5, UNKNOWN, END]
    assert vocabulary.decode([*token_ids, PAD, 4]) == ["a", "dog", "<unk>"]


def test_words_that_look_special_in_a_caption_stay_outside() -> None:
    assert Vocabulary.build([["<end>", "a"]]).tokens[4:] == ["a"]


def test_saved_words_come_back_and_can_be_read_by_a_person(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    vocabulary = Vocabulary.build([["café", "a"]])
    vocabulary.save(path)
    assert read_vocabulary(tmp_path, "nltk") == vocabulary
    assert '\n"café"' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "{}", "[1]", json.dumps(["a", "b"]), json.dumps(["<pad>", "<start>", "<end>", "<unk>", "a", "a"])])
def test_a_damaged_vocabulary_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(InputError):
        read_vocabulary(tmp_path, "nltk")


def test_no_word_left_is_an_error_that_names_the_option() -> None:
    with pytest.raises(InputError, match="min_count"):
        Vocabulary.build(CAPTIONS, min_count=9)
