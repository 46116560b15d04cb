"""Penn Treebank tokens as the official scorers count them, without their Java.

coco-caption runs Stanford's PTBTokenizer in lower case and drops punctuation. The rules here are inferred from its output;
tests/metrics/test_ptb.py lists the cases that still differ.
"""

import re
import unicodedata
from functools import cache
from typing import Any

# What the official scorers drop. They name round and curly brackets too, but in capitals, and so count the lower-case ones as words.
DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
LOOKALIKES = str.maketrans(
    {'"': "''", "’": "'", "‘": "`", "“": "``", "”": "''", "«": "``", "»": "''", "…": "...", "–": "--", "—": "--"}
    | {"€": "$", "£": "#", "¢": " cents ", "½": "1/2", "¼": "1/4", "¾": "3/4", "\u00a0": " ", "\u00ad": ""}
    | {digit: f" {digit} " for digit in "²³¹"}
)
ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")  # the Java of its time reads emoji as two halves, and drops both

# Combining marks that the official tokeniser takes for parts of words: those that its Java's age knew. It drops all others.
MARKS = re.compile(
    r"["
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0615-\u061a\u064b-\u065e\u0670"
    r"\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0\u07eb-\u07f3\u0900-\u0903"
    r"\u093c\u093e-\u094e\u0951-\u0955\u0962\u0963\u0981-\u0983\u09bc\u09be-\u09c4\u09c7\u09c8\u09cb-\u09cd\u09d7"
    r"\u09e2\u09e3\u0a01-\u0a03\u0a3c\u0a3e-\u0a42\u0a47\u0a48\u0a4b-\u0a4d\u0a81-\u0a83\u0abc\u0abe-\u0ac5"
    r"\u0ac7-\u0ac9\u0acb-\u0acd\u0b82\u0bbe-\u0bc2\u0bc6-\u0bc8\u0bca-\u0bcd\u0c01-\u0c03\u0c3e-\u0c44\u0c46-\u0c48"
    r"\u0c4a-\u0c4d\u0c55\u0c56\u0d3e-\u0d44\u0d46-\u0d48\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc"
    r"\u0ec8-\u0ecd\u1885\u1886"
    r"]"
)
ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}

# A full stop belongs to these wherever they stand; to the last three only before a number.
ABBREVIATIONS = (
    "mr|mrs|ms|messrs|dr|drs|prof|rev|hon|st|mt|ft|jr|sr|gen|col|maj|capt|lt|sgt|cpl|pfc|adm|supt|insp|gov|sen|rep|pres|"
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tue|wed|thu|fri|inc|corps?|cos?|ltd|bros|dept|univ|assn|est|ave|blvd|rd|tel|ext|"
    "vs|etc|ala|ariz|calif|colo|conn|fla|ga|ill|ind|kan|ky|mass|md|mich|minn|mo|mont|neb|nev|okla|pa|tenn|tex|va|wash|wis|wyo|ph\\.d|"
    "(?:nos?|pp?|figs?)(?=\\. ?\\d)"
)
WORD = r"[^\W_]+(?:_+[^\W_]+)*"
ACRONYM = r"(?:[^\W\d_]\.){2,}(?!\w)"
PART = rf"(?:{ACRONYM}|{WORD})"
STOP = r"(?![^\W_])"  # no letter or digit follows
PATTERN = "|".join(
    (
        r"(?i:https?://|www\.)[^\s\"<>()]*[\w/]|[\w.+-]{0,64}\w@\w(?:[\w.-]*\w)?|[#@][^\W\d_]\w*|</?[a-zA-Z][^<>]*>",
        rf"[:;=]-?[()DPp]{STOP}|(?i:c\+\+)|[A-Z]+&[A-Z]+|(?:US|C|A|HK|NZ|NT)\$",
        r"\b(?i:can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b))|(?i:y'(?=all\b))",
        rf"(?i:'t(?=is\b|was\b)|'n'|'(?:n|em|til|cause){STOP}|(?<!\w)'\d\ds?{STOP})",
        rf"(?i:(?<![\d_])n't{STOP}|'(?:s|m|d|ll|re|ve){STOP})",
        rf"(?i:(?:[cdol]|qu)'(?=[^\W\d_]{{2}}){WORD}|ma'am|n?e'er|\bol'){STOP}",
        rf"(?i:\b(?:{ABBREVIATIONS})\.)(?![^\W\d])|\b[A-HJ-Z]\.(?!\w)",
        rf"(?<!\w)\d+[.,]\d+(?:-[^\W\d_]+)+{STOP}|(?i:[dl]'(?=[^\W\d_]{STOP}))",
        rf"(?<!\w)[-+]?\d+(?:/\d+)+(?:-{WORD})*{STOP}|(?<!\w)[-+]?(?:\d+(?:[.,:]\d+)+|\d+{STOP}(?!-)|\.\d+)",
        rf"[^\W\d_]+?(?=(?i:n't){STOP})",
        rf"{PART}(?:[-\u2010\u2011]{PART})+(?:/[^\W\d_]{WORD})*|{WORD}(?:/{WORD})+(?!')|{ACRONYM}|{WORD}(?:[.?!]{WORD})+|{WORD}",
        r"\.(?: ?\.){2,}|[?!]{2,}|-{2,}|``|''|_+|\S",
    )
)
TOKEN = re.compile(PATTERN)


def ptb_tokenize(caption: str) -> list[str]:
    """Split a caption as the official scorers do, into lower-case words without most punctuation.

    >>> ptb_tokenize("A man (left) can't see the dog's ball in Washington D.C.")
    ['a', 'man', '-lrb-', 'left', '-rrb-', 'ca', "n't", 'see', 'the', 'dog', "'s", 'ball', 'in', 'washington', 'd.c.']
    """
    text = ASTRAL.sub(" ", _replace_entities(caption).translate(LOOKALIKES))
    if not text.isascii():
        text = "".join(" " if _is_dropped(character) else character for character in text)
    matches = (_token_with_marks() if _has_marks(text) else TOKEN).findall(text)
    tokens = (_official_form(token) for token in matches)
    # Official BLEU and CIDEr split a tag with a blank, the only token that has one, at it; official ROUGE-L does not.
    return " ".join(token for token in tokens if token not in DROPPED).split()


def _replace_entities(caption: str) -> str:
    """A caption with the characters that entities of XML stand for."""
    for entity, character in ENTITIES.items() if "&" in caption else ():
        caption = caption.replace(entity, character)
    return caption


def _is_dropped(character: str) -> bool:
    """Whether a character of another script than those that the official tokeniser knows ends a word and is no word itself."""
    category = unicodedata.category(character)
    return category == "Cf" or (category[0] == "M" and not MARKS.match(character))


def _has_marks(text: str) -> bool:
    """Whether a text has combining marks, such as Hindi's vowel signs or decomposed accents, which are parts of words."""
    return not text.isascii() and MARKS.search(text) is not None


@cache
def _token_with_marks() -> Any:
    """The pattern of tokens with marks among the letters, as `regex` understands them; `re` splits words at them, but is faster."""
    import regex

    return regex.compile(PATTERN)


def _official_form(token: str) -> str:
    """A token as the official tokeniser writes it."""
    if token[0] == "." and not token.strip(". "):
        return "..." if len(token) > 1 else "."
    if token in BRACKETS or token[0] in ":;=":
        token = "".join(BRACKETS.get(character, character) for character in token)
    return "--" if token.startswith("--") else token.lower()
