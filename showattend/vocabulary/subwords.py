"""Subword tokens: byte-pair encoding (Sennrich et al. 2016) of the words of captions, by Hugging Face's `tokenizers`.

A caption is split into words by one of TOKENIZERS, and each word into subwords, the first of which begins with MARK. So subwords say where
words begin, and a caption's text is had back from them. Scores count words, not subwords.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from showattend.errors import InputError, unknown_name
from showattend.vocabulary.tokenizers import MARK, TOKENIZERS, find_tokenizer, join_tokens

BPE = "bpe"
SIZE = 8000  # subwords, if no other number is chosen


@dataclass(frozen=True)
class Subwords:
    """How words fall into subwords; plain data, which a model folder holds.

    Args:
        words: a name of TOKENIZERS, which splits captions into words
        merges: pairs of subwords that become one, the first ones first

    Raises:
        InputError: an unknown tokeniser.
    """

    words: str
    merges: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if self.words not in TOKENIZERS:
            raise unknown_name("tokenizer", self.words, TOKENIZERS)

    def check(self, tokens: Iterable[str]) -> None:
        """Refuse merges that do not belong to a vocabulary.

        Raises:
            InputError: the vocabulary lacks a subword.
        """
        known = set(tokens)
        for pair in self.merges:
            missing = next((part for part in (*pair, "".join(pair)) if part not in known), None)
            if missing is not None:
                raise InputError(f"the vocabulary lacks the subword {missing[:40]!r} of its merges: give the files of one model")


class SubwordTokenizer:
    """Splits captions into the subwords of a vocabulary; a character that it lacks becomes `<unk>`.

    Raises:
        InputError: `tokenizers` is not installed.
    """

    def __init__(self, subwords: Subwords, token_to_id: dict[str, int], unknown: str) -> None:
        library = _library()
        self.subwords = subwords
        self.model = library.models.BPE(vocab=token_to_id, merges=list(subwords.merges), unk_token=unknown)
        self.known: dict[str, list[str]] = {}

    def __call__(self, caption: str) -> list[str]:
        """The subwords of a caption."""
        return [subword for word in _marked_words(caption, self.subwords.words) for subword in self._split(word)]

    def _split(self, word: str) -> list[str]:
        if word not in self.known:
            self.known[word] = [token.value for token in self.model.tokenize(word)]
        return self.known[word]


def train_subwords(
    captions: Iterable[str], words: str, specials: Sequence[str], *, size: int, min_count: int
) -> tuple[list[str], Subwords]:
    """Learn the merges of the most frequent pairs of subwords in captions.

    Args:
        words: what splits captions into words
        specials: tokens that come first
        size: of the vocabulary at most, the special tokens not counted; every character of the captions is in it
        min_count: a pair that occurs less often is not merged

    Returns:
        the tokens of the vocabulary, and the merges

    Raises:
        InputError: the captions have no word, or `tokenizers` is not installed.
    """
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=specials[-1]))
    trainer = library.trainers.BpeTrainer(
        vocab_size=size + len(specials), min_frequency=min_count, special_tokens=list(specials), show_progress=False
    )
    tokenizer.train_from_iterator((_marked_words(caption, words) for caption in captions), trainer)
    ids = tokenizer.get_vocab()
    if len(ids) <= len(specials):
        raise InputError("the training captions have no words: look at them with showattend data DIR")
    return sorted(ids, key=ids.__getitem__), Subwords(words, _merges(tokenizer))


def _merges(tokenizer: Any) -> tuple[tuple[str, str], ...]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return tuple((first, second) for first, second in (pair.split(" ") if isinstance(pair, str) else pair for pair in merges))


def _marked_words(caption: str, words: str) -> list[str]:
    """The stretches of a caption between spaces, each behind the mark: words, or whole captions in scripts without spaces."""
    text = join_tokens(find_tokenizer(words)(caption), words)
    return [MARK + word for word in text.split(" ") if word]


def _library() -> Any:
    # It would warn of every worker process that is started after it has used threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ImportError as error:
        raise InputError("subwords (bpe) need the library tokenizers: pip install 'showattend[bpe]'") from error
    return tokenizers
