"""The signature of scores: one line with how they were computed, so that readers know which scores are comparable.

After sacreBLEU (Post 2018).
"""

from collections.abc import Mapping
from importlib.metadata import version

from showattend.metrics.significance import RESAMPLES
from showattend.version import __version__

TOKEN_LABELS = {
    "nltk": f"nltk-{version('nltk')},lower-case,no-punctuation",
    "unicode": "unicode-words,lower-case,no-punctuation",
    "char": "characters,lower-case,no-punctuation",
    "ptb": "ptb",
}


def signature(tokenizer: str, scored: int, listed: int, references: int, more: Mapping[str, str]) -> str:
    """The signature of scores.

    Args:
        tokenizer: a name of TOKEN_LABELS
        scored: photos with a caption and references
        listed: photos with references
        references: captions of the scored photos
        more: further fields, such as how captions were generated
    """
    fields = {
        "photos": f"{scored}/{listed}",
        "references": str(references),
        "tokens": TOKEN_LABELS[tokenizer],
        "ties": "shorter",
        "smooth": "none",
        "idf": "references",
        "scale": "0-1,CIDEr-D:0-10",
        "bootstrap": f"{RESAMPLES},seed:0",
        **more,
        "numpy": version("numpy"),
        "showattend": __version__,
    }
    return "|".join(f"{name}:{value}" for name, value in fields.items() if value)
