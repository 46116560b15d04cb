"""What folders of trained and of exported models share: the files of the vocabulary, and bounds on the sizes that a folder names."""

import json
from dataclasses import asdict
from pathlib import Path

from showattend.config_checks import check_range
from showattend.data.json_files import check_schema, check_texts, read_json
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import BPE, Subwords, Vocabulary

VOCABULARY = "vocabulary.json"
SUBWORDS = "subwords.json"  # merges, where the vocabulary's tokens are subwords
# Upper bounds of the sizes in a folder: larger ones would fill the memory of whoever opens it.
MAX_IMAGE_SIZE, MAX_BEAM, MAX_LENGTH, MAX_TOKENS, MAX_SEED = 2**13, 2**10, 2**13, 2**16, 2**63 - 1
COPY_AGAIN = "copy the folder again, whole"


def check_sizes(preprocessing: Preprocessing, generation: GenerationConfig) -> None:
    """Refuse mirrored photos, and sizes that would take far more memory or time than any model needs.

    Raises:
        InputError: with the name of the first such size.
    """
    if preprocessing.flip:
        raise InputError("preprocessing.flip is true, and maps would be shown on the wrong side of photos: set it to false")
    check_range(preprocessing, "image_size", maximum=MAX_IMAGE_SIZE)
    check_range(generation, "beam", "num_captions", "groups", maximum=MAX_BEAM)
    check_range(generation, "max_length", "min_length", "no_repeat_ngram", maximum=MAX_LENGTH)
    check_range(generation, "top_k", maximum=MAX_TOKENS)
    check_range(generation, "seed", maximum=MAX_SEED)


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write the tokens, and the merges of subwords where there are any, into a folder that exists."""
    vocabulary.save(folder / VOCABULARY)
    if vocabulary.subwords:
        (folder / SUBWORDS).write_text(json.dumps(asdict(vocabulary.subwords), ensure_ascii=False) + "\n", encoding="utf-8")


def read_vocabulary(folder: Path, tokenizer: str) -> Vocabulary:
    """Read what `save_vocabulary` wrote.

    Args:
        tokenizer: what the vocabulary's tokens come from

    Raises:
        InputError: a file cannot be read or is damaged, or the files do not belong together.
    """
    path = folder / VOCABULARY
    tokens = read_json(path)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"{path} is no JSON list of tokens: {COPY_AGAIN}")
    subwords = read_subwords(folder, tokenizer)
    try:
        check_texts(*tokens)
        return Vocabulary(tokens, tokenizer, subwords)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def read_subwords(folder: Path, tokenizer: str) -> Subwords | None:
    """The merges of a vocabulary of subwords; None: its tokens are words.

    Raises:
        InputError: the file cannot be read or is damaged.
    """
    if tokenizer != BPE:
        return None
    path = folder / SUBWORDS
    try:
        return check_schema(read_json(path), Subwords, f"{path} holds no merges of subwords")
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
