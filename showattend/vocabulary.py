"""Tokens and their ids: tokenise captions, build a vocabulary, encode, decode, save, load.

The tokeniser lower-cases a caption, splits it by nltk's Penn Treebank rules (which need no download) and drops punctuation.
Training and scoring use the same tokeniser.
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
    # Imported here because nltk takes 0.17 s to import, and captioning photos does not need it.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


def tokenize(caption: str) -> list[str]:
    """Split a caption into lower-case tokens without punctuation.

    >>> tokenize("A dog's ball, thrown in the half-light .")
    ['a', 'dog', "'s", 'ball', 'thrown', 'in', 'the', 'half-light']
    """
    tokens = _treebank().tokenize(caption.lower())
    return [token for token in tokens if any(character.isalnum() for character in token)]


class Vocabulary:
    """A list of V tokens whose first four are `<pad> <start> <end> <unk>`; a token's id is its index in the list.

    Raises:
        InputError: the list does not begin with the special tokens, or holds a token twice.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if tuple(tokens[: len(SPECIALS)]) != SPECIALS:
            raise InputError(f"a vocabulary begins with {' '.join(SPECIALS)}, this one with {' '.join(tokens[:4])!r}")
        self.tokens = list(tokens)
        self.token_to_id = {token: token_id for token_id, token in enumerate(self.tokens)}
        if len(self.token_to_id) != len(self.tokens):
            duplicate = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise InputError(f"the vocabulary holds the token {duplicate!r} twice: take one of the two out")

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], *, min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Count the tokens of captions and keep the frequent ones, the most frequent first.

        Args:
            captions: each a list of tokens
            min_count: keep a token that occurs at least this often
            max_size: keep at most this many tokens besides the special ones

        Raises:
            InputError: no token is left.
        """
        counts = Counter(token for caption in captions for token in caption)
        frequent = [token for token, count in counts.items() if count >= min_count and token not in SPECIALS]
        # Ties are broken by spelling, so that the order of the captions does not change the ids.
        frequent.sort(key=lambda token: (-counts[token], token))
        if not frequent:
            raise InputError(f"no word occurs {min_count} times in the training captions: lower min_count")
        return cls([*SPECIALS, *frequent[:max_size]])

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Token ids of a caption between `<start>` and `<end>`; an unknown token becomes `<unk>`."""
        return [START, *(self.token_to_id.get(token, UNKNOWN) for token in tokens), END]

    def decode(self, token_ids: Iterable[int]) -> list[str]:
        """Tokens up to the first `<end>`, without `<start>` and `<pad>`."""
        tokens = []
        for token_id in token_ids:
            if token_id == END:
                break
            if token_id not in (PAD, START):
                tokens.append(self.tokens[token_id])
        return tokens

    def save(self, path: Path) -> None:
        """Write the tokens as a JSON list, one token a line."""
        path.write_text(json.dumps(self.tokens, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            InputError: the file is no JSON list of tokens.
        """
        try:
            tokens = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the vocabulary {path}: {error}") from error
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise InputError(f"{path} is no JSON list of tokens")
        return cls(tokens)
