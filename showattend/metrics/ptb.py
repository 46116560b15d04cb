"""Penn Treebank tokens as the official scorers count them, without their Java.

coco-caption runs Stanford's PTBTokenizer in lower case and drops punctuation. The rules here are inferred from its output;
tests/metrics/test_ptb.py lists the cases that still differ.
"""

import re

# What the official scorers drop. They name round and curly brackets too, but in capitals, and so count the lower-case ones as words.
DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
LOOKALIKES = str.maketrans(
    {'"': "''", "’": "'", "‘": "`", "“": "``", "”": "''", "«": "``", "»": "''", "…": "...", "–": "--", "—": "--"}
    | {"€": "$", "£": "#", "¢": " cents ", "½": "1/2", "¼": "1/4", "¾": "3/4", "\u00a0": " ", "\u00ad": ""}
)
ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")  # the Java of its time reads emoji as two halves, and drops both

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
TOKEN = re.compile(
    "|".join(
        (
            r"(?i:https?://|www\.)[^\s\"<>()]*[\w/]|[\w.+-]*\w@\w(?:[\w.-]*\w)?|[#@][^\W\d_]\w*|</?[a-zA-Z][^<>]*>",
            rf"[:;=]-?[()DPp]{STOP}|(?i:c\+\+)|[A-Z]+&[A-Z]+|(?:US|C|A|HK|NZ|NT)\$",
            r"\b(?i:can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b))|(?i:y'(?=all\b))",
            rf"(?i:'t(?=is\b|was\b)|'n'|'(?:n|em|til|cause){STOP}|(?<!\w)'\d\ds?{STOP})",
            rf"(?i:(?<![\d_])n't{STOP}|'(?:s|m|d|ll|re|ve){STOP})",
            rf"(?i:[dol]'(?=[^\W\d_]{{2}}){WORD}|ma'am|n?e'er){STOP}",
            rf"(?i:\b(?:{ABBREVIATIONS})\.)(?![^\W\d])|\b[A-HJ-Z]\.(?!\w)",
            rf"(?<!\w)[-+]?\d+(?:/\d+)+(?:-{WORD})*{STOP}|(?<!\w)[-+]?(?:\d+(?:[.,:]\d+)+|\d+{STOP}(?!-)|\.\d+)",
            rf"[^\W\d_]+?(?=(?i:n't){STOP})",
            rf"{PART}(?:-{PART})+(?:/[^\W\d_]{WORD})*|{WORD}(?:/{WORD})+(?!')|{ACRONYM}|{WORD}(?:[.?!]{WORD})+|{WORD}",
            r"\.(?: ?\.){2,}|[?!]{2,}|-{2,}|``|''|_+|\S",
        )
    )
)


def ptb_tokenize(caption: str) -> list[str]:
    """Split a caption as the official scorers do, into lower-case words without most punctuation.

    >>> ptb_tokenize("A man (left) can't see the dog's ball in Washington D.C.")
    ['a', 'man', '-lrb-', 'left', '-rrb-', 'ca', "n't", 'see', 'the', 'dog', "'s", 'ball', 'in', 'washington', 'd.c.']
    """
    matches = TOKEN.findall(ASTRAL.sub(" ", caption.translate(LOOKALIKES)))
    tokens = (_official_form(token) for token in matches)
    return [token for token in tokens if token not in DROPPED]


def _official_form(token: str) -> str:
    """A token as the official tokeniser writes it."""
    if token[0] == "." and not token.strip(". "):
        return "..." if len(token) > 1 else "."
    if token in BRACKETS or token[0] in ":;=":
        token = "".join(BRACKETS.get(character, character) for character in token)
    return "--" if token.startswith("--") else token.lower()
