"""The files in folders of models: their names, and what trained and exported models share, the vocabulary and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path

from showattend.data.json_files import check_schema, check_texts, read_json
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.vocabulary import BPE, Subwords, Vocabulary

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.json", "metrics.json", "README.md"
ENCODER_SPEC = "encoder.json"  # where the encoder needs more than its configuration to be rebuilt
VOCABULARY = "vocabulary.json"
SUBWORDS = "subwords.json"  # merges, where the vocabulary's tokens are subwords
NEIGHBORS = "neighbors.safetensors"  # photos of the training, where `showattend neighbors` has added them
CHECKED = (WEIGHTS, ENCODER_SPEC, VOCABULARY, SUBWORDS, NEIGHBORS)  # config.json holds their SHA-256
FILES = [CARD, CONFIG, ENCODER_SPEC, METRICS, NEIGHBORS, SUBWORDS, VOCABULARY, WEIGHTS]  # of the folder of a trained model
COPY_AGAIN = "copy the folder again, whole"
A_MODEL = "one that training has written, such as runs/NAME/model"


def check_not_mirrored(preprocessing: Preprocessing) -> None:
    """Refuse mirrored photos.

    Raises:
        InputError: they are mirrored.
    """
    if preprocessing.flip:
        raise InputError("preprocessing.flip is true, and maps would be shown on the wrong side of photos: set it to false")


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
