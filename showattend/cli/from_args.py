"""Captioners and generation settings from the parsed options that commands share; heavy imports happen inside."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.console import print_error
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig

if TYPE_CHECKING:
    from showattend.inference import Captioner
    from showattend.vocabulary import Vocabulary


def numeric_generation_options() -> list[str]:
    """The fields of GenerationConfig that hold one number: each is an option of the same name."""
    return [field.name for field in fields(GenerationConfig) if not isinstance(field.default, bool | tuple)]


def model_folders_from_args(args: argparse.Namespace) -> list[Path]:
    """The model folders of --model and --ensemble; the first one's vocabulary, preprocessing and defaults are used."""
    return [*([args.model] if args.model else []), *getattr(args, "ensemble", [])]


def photos_from_args(args: argparse.Namespace) -> list[Path]:
    """The photos of the command line; a line names the files in folders that are none.

    Raises:
        InputError: see `find_photos`; or standard input names none.
    """
    from showattend.data.photos import find_photos

    patterns = [name for pattern in args.photos for name in (_names_from_stdin() if pattern == "-" else [pattern])]
    if not patterns:
        raise InputError("standard input names no photo: write one path a line to it")
    photos, note = find_photos(patterns)
    if note:
        print_error(note)
    return photos


def _names_from_stdin() -> list[str]:
    """Paths that end at line breaks, or at null characters as `find -print0` writes them."""
    content = sys.stdin.buffer.read() if sys.stdin else b""
    names = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(name) for name in names if name.strip()]


def captioner_from_args(args: argparse.Namespace) -> Captioner:
    """The captioner over the models of --model and --ensemble.

    Raises:
        InputError: there is no model option, or see `Captioner.from_pretrained`.
    """
    from showattend.inference import Captioner

    folders = model_folders_from_args(args)
    if not folders:
        raise InputError("no model: give --model DIR, or --ensemble DIR DIR …")
    options: dict[str, Any] = {name: value for name in ("fuse", "int8") if (value := getattr(args, name, None))}
    if args.trust:
        options["trust"] = tuple(args.trust)
    return Captioner.from_pretrained(folders[0], args.device, ensemble=folders[1:], attention_mode=args.attention_mode, **options)


def generation_config_from_args(captioner: Captioner, args: argparse.Namespace) -> GenerationConfig:
    """The model's generation settings, with those of the command line in their place.

    Raises:
        InputError: a required word is not in the vocabulary, or see `GenerationConfig`.
    """
    default, vocabulary = captioner.model.generation, captioner.model.vocabulary
    options: dict[str, Any] = {name: value for name in numeric_generation_options() if (value := getattr(args, name, None)) is not None}
    if args.sample:
        default = replace(default, beam=1)
    elif "beam" not in options:
        # Five captions, or three groups, need at least as many beams.
        groups = options.get("groups", 1)
        beam = max(default.beam, options.get("num_captions", 1))
        options["beam"] = -(-beam // groups) * groups if groups > 0 else beam
    if "diversity" in options and "groups" not in options:
        raise InputError("diversity keeps groups of beams apart: give --groups G too")
    options["must_include"] = _token_ids(args.must_include, vocabulary, required=True)
    options["ban"] = _token_ids(args.ban, vocabulary)
    return replace(default, sample=args.sample, **options)


def _token_ids(texts: list[str], vocabulary: Vocabulary, *, required: bool = False) -> tuple[int, ...]:
    """The ids of all words in some texts, each once."""
    words = [word for text in texts for word in vocabulary.tokenize(text)]
    for word in words:
        if required and word not in vocabulary.token_to_id:
            raise InputError(f"the model's vocabulary lacks the word '{word}': leave it out of --must-include")
    return tuple({vocabulary.token_to_id[word]: None for word in words if word in vocabulary.token_to_id})
