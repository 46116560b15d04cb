"""Document frequencies of n-grams, for CIDEr-D: counted in references, kept in a file, and taken from one.

The captions servers score with the frequencies of a large corpus, whatever the photos that are scored; a few photos alone give others.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from showattend.data.json_files import check_schema, read_json
from showattend.errors import InputError
from showattend.files import write_text
from showattend.metrics.ngrams import ORDERS

Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


@dataclass(frozen=True)
class DocumentFrequencies:
    """How many photos of a corpus have an n-gram in one of their references at least.

    Args:
        tokenizer: what the references were split with
        photos: of the corpus
        counts: by the n-gram's tokens with spaces between them, n from 1 to 4
    """

    tokenizer: str
    photos: int
    counts: Mapping[str, int]

    @property
    def label(self) -> str:
        """The frequencies in signatures: the number of photos, and a digest of the counts."""
        content = json.dumps([self.tokenizer, self.photos, sorted(self.counts.items())]).encode()
        return f"{self.photos} photos,{hashlib.sha256(content).hexdigest()[:8]}"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a file of frequencies."""

    tokenizer: str
    photos: Count
    frequencies: Annotated[dict[str, Count], msgspec.Meta(min_length=1)]


def count_document_frequencies(references: Iterable[Sequence[Sequence[str]]], tokenizer: str) -> DocumentFrequencies:
    """Count n-grams in the tokens of each photo's references."""
    counts: Counter[str] = Counter()
    photos = 0
    for captions in references:
        photos += 1
        counts.update({gram for tokens in captions for gram in _ngrams(tokens)})
    return DocumentFrequencies(tokenizer, photos, counts)


def write_document_frequencies(path: Path, frequencies: DocumentFrequencies) -> None:
    """Write them as JSON.

    Raises:
        InputError: the file cannot be written.
    """
    content = {"tokenizer": frequencies.tokenizer, "photos": frequencies.photos, "frequencies": frequencies.counts}
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")


def read_document_frequencies(path: Path, tokenizer: str) -> DocumentFrequencies:
    """Read what `write_document_frequencies` wrote.

    Args:
        tokenizer: of the captions that are scored

    Raises:
        InputError: the file holds no frequencies, or those of other tokens.
    """
    content = check_schema(read_json(path), _File, f"{path} holds no document frequencies of `showattend idf`")
    wrong = next((gram for gram, count in content.frequencies.items() if count > content.photos), None)
    if wrong is not None:
        raise InputError(f"{path}: {wrong[:40]!r} is in {content.frequencies[wrong]} of {content.photos} photos: write the file anew")
    if content.tokenizer != tokenizer:
        raise InputError(
            f"{path} has frequencies of {content.tokenizer} tokens, and the captions are scored by {tokenizer}: "
            f"give --tokenizer {content.tokenizer}, or make a file with showattend idf --tokenizer {tokenizer}"
        )
    return DocumentFrequencies(content.tokenizer, content.photos, content.frequencies)


def _ngrams(tokens: Sequence[str]) -> Iterable[str]:
    return (" ".join(tokens[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(tokens) - n + 1))
