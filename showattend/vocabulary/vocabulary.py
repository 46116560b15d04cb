"""The vocabulary: tokens and their ids, and the tokeniser that they come from."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from showattend.errors import InputError
from showattend.vocabulary.subwords import BPE, SIZE, Subwords, SubwordTokenizer, train_subwords
from showattend.vocabulary.tokenizers import find_tokenizer, join_tokens

PAD, START, END, UNKNOWN = range(4)
FORBIDDEN_IDS = (PAD, START, UNKNOWN)  # never generated
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


class Vocabulary:
    """A list of V tokens whose first four are `<pad> <start> <end> <unk>`; a token's id is its index in the list.

    Args:
        tokenizer: what splits captions into these tokens: nltk, unicode, char or bpe
        subwords: the merges of `bpe`

    Raises:
        InputError: the list does not begin with the special tokens, or holds a token twice, or the tokeniser is unknown.
    """

    def __init__(self, tokens: Sequence[str], tokenizer: str = "nltk", subwords: Subwords | None = None) -> None:
        if tuple(tokens[: len(SPECIALS)]) != SPECIALS:
            raise InputError(f"a vocabulary begins with {' '.join(SPECIALS)}, this one with {' '.join(tokens[:4])!r}")
        self.tokenizer = tokenizer
        self.subwords = subwords
        self.word_tokenizer = subwords.words if subwords else tokenizer
        self.split_words = find_tokenizer(self.word_tokenizer)
        self.tokens = list(tokens)
        self.token_to_id = {token: token_id for token_id, token in enumerate(self.tokens)}
        if len(self.token_to_id) != len(self.tokens):
            duplicate = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise InputError(f"the vocabulary holds the token {duplicate!r} twice: take one of the two out")
        if subwords:
            subwords.check(self.tokens)

    @classmethod
    def build(
        cls, captions: Iterable[Sequence[str]], *, min_count: int = 1, max_size: int | None = None, tokenizer: str = "nltk"
    ) -> "Vocabulary":
        """Count the tokens of captions and keep the frequent ones, the most frequent first.

        Args:
            captions: each a list of tokens
            min_count: keep a token that occurs at least this often
            max_size: keep at most this many tokens besides the special ones
            tokenizer: what the captions were split with

        Raises:
            InputError: no token is left.
        """
        counts = Counter(token for caption in captions for token in caption)
        frequent = [token for token, count in counts.items() if count >= min_count and token not in SPECIALS]
        # Ties are broken by spelling, so that the order of the captions does not change the ids.
        frequent.sort(key=lambda token: (-counts[token], token))
        if not frequent:
            raise InputError(f"no word occurs {min_count} times in the training captions: lower min_count")
        return cls([*SPECIALS, *frequent[:max_size]], tokenizer)

    @classmethod
    def build_subwords(cls, captions: Iterable[str], words: str, *, min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Learn subwords from captions, see `train_subwords`.

        Args:
            words: the tokeniser that splits captions into words

        Raises:
            InputError: the captions have no words, or the library is not installed.
        """
        tokens, subwords = train_subwords(captions, words, SPECIALS, size=max_size or SIZE, min_count=min_count)
        return cls(tokens, BPE, subwords)

    @cached_property
    def tokenize(self) -> Callable[[str], list[str]]:
        """What splits a caption into tokens, of which the vocabulary may lack some.

        Raises:
            InputError: the library for subwords is not installed.
        """
        return SubwordTokenizer(self.subwords, self.token_to_id, SPECIALS[UNKNOWN]) if self.subwords else self.split_words

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        return self.tokens, self.tokenizer, self.subwords

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

    def decode_words(self, token_ids: Iterable[int]) -> list[str]:
        """The words that scores count, up to the first `<end>`: the tokens themselves, unless these are subwords."""
        tokens = self.decode(token_ids)
        return self.split_words(self.join(tokens)) if self.subwords else tokens

    def join(self, tokens: Sequence[str]) -> str:
        """The text of a caption's tokens."""
        return join_tokens(tokens, self.tokenizer)

    def save(self, path: Path) -> None:
        """Write the tokens as a JSON list, one token a line."""
        path.write_text(json.dumps(self.tokens, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
