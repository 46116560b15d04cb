"""Tokenisers: captions to lower-case tokens without punctuation, and tokens back to text.

`nltk` splits English by the Penn Treebank's rules (which need no download). `unicode` splits at the word boundaries of Unicode
(UAX #29), which fit every script with spaces. `char` takes each character of a script without spaces (Chinese, Japanese, Thai …) as a
token, and Unicode's words of the others. A model is trained and scored with one of them, which its folder names.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from showattend.errors import find_by_name

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

# Words of which a full stop is a part: the Treebank's rules take it off the last word of a caption only.
ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "messrs", "dr", "drs", "prof", "rev", "hon", "st", "mt", "ft", "jr", "sr", "gen", "col", "maj", "capt", "lt"}
    | {"sgt", "gov", "sen", "rep", "pres", "inc", "ltd", "corp", "co", "bros", "dept", "ave", "blvd", "rd", "vs", "etc", "approx", "est"}
)
ACRONYM = re.compile(r"(?:[^\W\d_]\.)+")
SENTENCE_WITHOUT_SPACE = re.compile(r"(?<=[a-z]{2})\.(?=[A-Z][a-z])")  # "… on the grass.It jumps"
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
SAMPLE = 20_000  # captions by which `auto` chooses
MARK = "▁"  # begins the first subword of a word, see subwords.py
UNSPACED_SHARE, FOREIGN_SHARE = 0.2, 0.005  # of the letters


class Choice(NamedTuple):
    """A tokeniser that was chosen by the captions, and why."""

    tokenizer: str
    reason: str


def tokenize(caption: str, tokenizer: str = "nltk") -> list[str]:
    """Split a caption into lower-case tokens without punctuation.

    >>> tokenize("A dog's ball, thrown in the half-light. It flies.")
    ['a', 'dog', "'s", 'ball', 'thrown', 'in', 'the', 'half-light', 'it', 'flies']
    >>> tokenize("一只狗 runs。", "char")
    ['一', '只', '狗', 'runs']

    Raises:
        InputError: an unknown tokeniser.
    """
    return find_tokenizer(tokenizer)(caption)


def join_tokens(tokens: Sequence[str], tokenizer: str = "nltk") -> str:
    """The text of a caption: spaces between tokens, but none beside a character of a script without spaces or within a word of subwords.

    >>> join_tokens(["一", "只", "狗"], "char")
    '一只狗'
    >>> join_tokens(["▁a", "▁do", "g"], "bpe")
    'a dog'
    """
    if tokenizer == "bpe":
        return "".join(tokens).replace(MARK, " ").strip()
    if tokenizer != "char":
        return " ".join(tokens)
    unspaced = [bool(_unspaced().match(token)) for token in tokens]
    spaces = ["" if left or right else " " for left, right in pairwise(unspaced)]
    return "".join(part for pair in zip(tokens, [*spaces, ""], strict=True) for part in pair)


def token_label(token: str, tokenizer: str = "nltk") -> str:
    """A token as it is shown alone: a subword that continues a word begins with a hyphen.

    >>> [token_label(token, "bpe") for token in ("▁a", "▁do", "g")]
    ['a', 'do', '-g']
    """
    if tokenizer != "bpe" or token == MARK:
        return token
    return token.removeprefix(MARK) if token.startswith(MARK) else f"-{token}"


def find_tokenizer(name: str) -> Callable[[str], list[str]]:
    """The tokeniser of a name.

    Raises:
        InputError: an unknown name.
    """
    return find_by_name("tokenizer", name, TOKENIZERS)


def choose_tokenizer(captions: Iterable[str]) -> Choice:
    """The tokeniser that fits the scripts of some captions."""
    letters = unspaced = foreign = 0
    for caption, _ in zip(captions, range(SAMPLE), strict=False):
        if caption.isascii():
            letters += sum(map(str.isalpha, caption))
            continue
        own = [character for character in unicodedata.normalize("NFC", caption) if character.isalpha()]
        letters += len(own)
        foreign += sum(not character.isascii() for character in own)
        unspaced += len(_unspaced().findall(caption))
    if unspaced > UNSPACED_SHARE * letters:
        return Choice("char", f"{min(1.0, unspaced / letters):.0%} of the letters are of scripts without spaces between words")
    if foreign > FOREIGN_SHARE * letters:
        return Choice("unicode", f"{foreign / letters:.1%} of the letters are not English")
    return Choice("nltk", "the letters are English")


def _nltk_tokens(caption: str) -> list[str]:
    tokens = _treebank().tokenize(SENTENCE_WITHOUT_SPACE.sub(". ", caption).lower())
    return [clean for token in tokens if (clean := _without_stop(token)) and any(map(str.isalnum, clean))]


def _without_stop(token: str) -> str:
    """A token without the full stop of its sentence, and without marks of other languages around it, such as `¿`."""
    if token.endswith(".") and not ACRONYM.fullmatch(token) and token.rstrip(".") not in ABBREVIATIONS:
        token = token.rstrip(".")
    return token if token.isascii() else _strip_foreign(token)


def _strip_foreign(token: str) -> str:
    while token and _is_foreign_mark(token[0]):
        token = token[1:]
    while token and _is_foreign_mark(token[-1]):
        token = token[:-1]
    return token


def _is_foreign_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character)[0] in "PSCZ"


def _unicode_tokens(caption: str) -> list[str]:
    text = unicodedata.normalize("NFC", caption).lower()
    return [_strip_foreign(part) for part in _word_boundary().split(text) if any(map(str.isalnum, part))]


def _char_tokens(caption: str) -> list[str]:
    parts = _character_or_run().findall(unicodedata.normalize("NFC", caption))
    tokens = (token for part in parts for token in ([part] if _unspaced().match(part) else _unicode_tokens(part)))
    return [token for token in tokens if not all(map(_is_foreign_mark, token))]  # punctuation of scripts without spaces


@cache
def _treebank() -> "NLTKWordTokenizer":
    # Imported here because nltk takes 0.17 s to import, and captioning photos does not need it.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


@cache
def _compile(pattern: str) -> Any:
    import regex

    return regex.compile(pattern)


def _word_boundary() -> Any:
    return _compile(r"(?V1w)\b")


def _unspaced() -> Any:
    return _compile(rf"[{UNSPACED}]")


def _character_or_run() -> Any:
    """A character with its marks, of a script without spaces; or a run of all others."""
    return _compile(rf"(?=[{UNSPACED}])\X|[^{UNSPACED}]+")


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"nltk": _nltk_tokens, "unicode": _unicode_tokens, "char": _char_tokens}
