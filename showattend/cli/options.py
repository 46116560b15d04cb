"""What several commands take from their arguments."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from showattend.decoding import Search
from showattend.errors import InputError
from showattend.inference import Captioner
from showattend.vocabulary import Vocabulary, tokenize

# What of a search is a number, and so an option of the same name.
NUMBERS = [field.name for field in fields(Search) if not isinstance(field.default, bool | tuple)]


def chosen_folders(parsed: argparse.Namespace) -> list[Path]:
    """The model folders that the command line names, of which the first decides where it matters."""
    return [*([parsed.model] if parsed.model else []), *getattr(parsed, "ensemble", [])]


def chosen_captioner(parsed: argparse.Namespace) -> Captioner:
    """The model, or the models, that the command line names.

    Raises:
        InputError: it names none, or see `Captioner.from_pretrained`.
    """
    folders = chosen_folders(parsed)
    if not folders:
        raise InputError("no model: give --model DIR, or --ensemble DIR DIR …")
    speed = {name: value for name in ("fuse", "int8") if (value := getattr(parsed, name, None))}
    return Captioner.from_pretrained(folders[0], ensemble=folders[1:], attention_mode=parsed.attention_mode, **speed)


def chosen_search(captioner: Captioner, parsed: argparse.Namespace) -> Search:
    """The model's way to search, with what the command line says otherwise.

    Raises:
        InputError: a required word that the model does not know, or see `Search`.
    """
    default, vocabulary = captioner.model.search, captioner.model.vocabulary
    chosen: dict[str, Any] = {name: value for name in NUMBERS if (value := getattr(parsed, name, None)) is not None}
    if parsed.sample:
        default = replace(default, beam=1)
    elif "beam" not in chosen:
        # Who asks for five captions, or three groups, asks for the beams that they need.
        groups = chosen.get("groups", 1)
        wanted = max(default.beam, chosen.get("num_captions", 1))
        chosen["beam"] = -(-wanted // groups) * groups if groups > 0 else wanted
    if "diversity" in chosen and "groups" not in chosen:
        raise InputError("diversity keeps groups of beams apart: give --groups G too")
    chosen["must_include"] = _numbers(parsed.must_include, vocabulary, required=True)
    chosen["ban"] = _numbers(parsed.ban, vocabulary)
    return replace(default, sample=parsed.sample, **chosen)


def _numbers(texts: list[str], vocabulary: Vocabulary, *, required: bool = False) -> tuple[int, ...]:
    """The numbers of all words in some texts, each once."""
    words = [word for text in texts for word in tokenize(text)]
    for word in words:
        if required and word not in vocabulary.index:
            raise InputError(f"the model has never learned the word '{word}' and cannot say it: leave it out of --must-include")
    return tuple({vocabulary.index[word]: None for word in words if word in vocabulary.index})
