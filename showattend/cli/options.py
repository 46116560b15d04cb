"""What several commands take from their arguments."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.inference import Captioner
from showattend.vocabulary import Vocabulary, tokenize

# What of a search is a number, and so an option of the same name.
NUMBERS = [field.name for field in fields(GenerationConfig) if not isinstance(field.default, bool | tuple)]


def model_folders_from_args(args: argparse.Namespace) -> list[Path]:
    """The model folders that the command line names, of which the first decides where it matters."""
    return [*([args.model] if args.model else []), *getattr(args, "ensemble", [])]


def captioner_from_args(args: argparse.Namespace) -> Captioner:
    """The model, or the models, that the command line names.

    Raises:
        InputError: it names none, or see `Captioner.from_pretrained`.
    """
    folders = model_folders_from_args(args)
    if not folders:
        raise InputError("no model: give --model DIR, or --ensemble DIR DIR …")
    speed = {name: value for name in ("fuse", "int8") if (value := getattr(args, name, None))}
    return Captioner.from_pretrained(folders[0], ensemble=folders[1:], attention_mode=args.attention_mode, **speed)


def search_from_args(captioner: Captioner, args: argparse.Namespace) -> GenerationConfig:
    """The model's way to search, with what the command line says otherwise.

    Raises:
        InputError: a required word that the model does not know, or see `Search`.
    """
    default, vocabulary = captioner.model.search, captioner.model.vocabulary
    chosen: dict[str, Any] = {name: value for name in NUMBERS if (value := getattr(args, name, None)) is not None}
    if args.sample:
        default = replace(default, beam=1)
    elif "beam" not in chosen:
        # Who asks for five captions, or three groups, asks for the beams that they need.
        groups = chosen.get("groups", 1)
        wanted = max(default.beam, chosen.get("num_captions", 1))
        chosen["beam"] = -(-wanted // groups) * groups if groups > 0 else wanted
    if "diversity" in chosen and "groups" not in chosen:
        raise InputError("diversity keeps groups of beams apart: give --groups G too")
    chosen["must_include"] = _numbers(args.must_include, vocabulary, required=True)
    chosen["ban"] = _numbers(args.ban, vocabulary)
    return replace(default, sample=args.sample, **chosen)


def _numbers(texts: list[str], vocabulary: Vocabulary, *, required: bool = False) -> tuple[int, ...]:
    """The numbers of all words in some texts, each once."""
    words = [word for text in texts for word in tokenize(text)]
    for word in words:
        if required and word not in vocabulary.token_to_id:
            raise InputError(f"the model has never learned the word '{word}' and cannot say it: leave it out of --must-include")
    return tuple({vocabulary.token_to_id[word]: None for word in words if word in vocabulary.token_to_id})
