"""Words and their numbers: tokenise, build, encode, decode, save, load.

A caption is lower-cased, split by nltk's Penn Treebank rules (which need no download) and stripped of punctuation;
the same tokeniser serves training and scoring, so that both speak of the same words.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.errors import InputError

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

PAD, START, END, UNKNOWN = range(4)
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


@cache
def _treebank() -> "NLTKWordTokenizer":
    # Here, because nltk takes a sixth of a second to import, and to caption is to say words, not to hear them.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


def tokenize(caption: str) -> list[str]:
    """Split a caption into lower-case words without punctuation.

    >>> tokenize("A dog's ball, thrown in the half-light .")
    ['a', 'dog', "'s", 'ball', 'thrown', 'in', 'the', 'half-light']
    """
    tokens = _treebank().tokenize(caption.lower())
    return [token for token in tokens if any(character.isalnum() for character in token)]


class Vocabulary:
    """A list of words whose first four are `<pad> <start> <end> <unk>`; a word's number is its place in the list."""

    def __init__(self, words: Sequence[str]) -> None:
        """Take the words in order.

        Raises:
            InputError: the list does not begin with the special words, or holds a word twice.
        """
        if tuple(words[: len(SPECIALS)]) != SPECIALS:
            raise InputError(f"a vocabulary begins with {' '.join(SPECIALS)}, this one with {' '.join(words[:4])!r}")
        self.words = list(words)
        self.index = {word: number for number, word in enumerate(self.words)}
        if len(self.index) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise InputError(f"the vocabulary holds the word {twice!r} twice")

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], *, min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Count the words of tokenised captions and keep the frequent ones, the most frequent first.

        Args:
            captions: lists of tokens
            min_count: keep a word that occurs at least this often
            max_size: keep at most this many words besides the special ones

        Raises:
            InputError: no word is left.
        """
        counts = Counter(token for caption in captions for token in caption)
        frequent = [word for word, count in counts.items() if count >= min_count and word not in SPECIALS]
        # Ties are broken by spelling: the same captions in another order give the same numbers.
        frequent.sort(key=lambda word: (-counts[word], word))
        if not frequent:
            raise InputError(f"no word occurs {min_count} times in the training captions: lower min_count")
        return cls([*SPECIALS, *frequent[:max_size]])

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Numbers of the tokens between `<start>` and `<end>`; a word that is not known becomes `<unk>`."""
        return [START, *(self.index.get(token, UNKNOWN) for token in tokens), END]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Words up to the first `<end>`, without `<start>` and `<pad>`."""
        words = []
        for number in numbers:
            if number == END:
                break
            if number not in (PAD, START):
                words.append(self.words[number])
        return words

    def save(self, path: Path) -> None:
        """Write the words as a JSON list, one word a line."""
        path.write_text(json.dumps(self.words, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            InputError: the file is no JSON list of words.
        """
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the vocabulary {path}: {error}") from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError(f"{path} is no JSON list of words")
        return cls(words)
