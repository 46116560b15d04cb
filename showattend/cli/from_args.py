"""Captioners and generation settings from the parsed options that commands share; heavy imports happen inside."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.console import print_error
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig

if TYPE_CHECKING:
    from showattend.bulk.recipe import CaptionerRecipe
    from showattend.data.photo_index import PhotoIndex
    from showattend.inference import Captioner
    from showattend.runtime import ExportedCaptioner

READ_BYTES = 2**16  # of standard input at a time


def given_generation_options(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of GenerationConfig that the command line gives, lists of words last: each is an option of the same name."""
    names = [field.name for field in sorted(fields(GenerationConfig), key=lambda field: isinstance(field.default, tuple))]
    values = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None and value is not False and value != []}


def model_folders_from_args(args: argparse.Namespace) -> list[Path]:
    """The model folders of --model and --ensemble; the first one's vocabulary, preprocessing and defaults are used."""
    return [*([args.model] if args.model else []), *getattr(args, "ensemble", [])]


def inputs_from_args(args: argparse.Namespace, photos: Iterable[Path] = ()) -> Iterator[Path]:
    """The files that a command reads, as far as options name them, and photos; none of them may be written over, see `check_writable`."""
    from showattend.model_files import CARD, FILES
    from showattend.runtime.contract import CONTRACT

    for name in ("photo", "results", "references", "compare", "idf"):
        if file := getattr(args, name, None):
            yield file
    model = getattr(args, "model", None) or []
    models = [model] if isinstance(model, Path) else model
    for folder in (*models, *getattr(args, "ensemble", []), *getattr(args, "models", [])):
        yield from (Path(folder) / name for name in (*FILES, CONTRACT) if name != CARD)
        yield from Path(folder).glob("*.onnx")
    if root := getattr(args, "root", None):
        from showattend.data.captions import data_files

        yield from data_files(root, args.layout)
    yield from photos


def photos_from_args(args: argparse.Namespace) -> PhotoIndex:
    """The photos of the command line; a line names the files in folders that are none.

    Raises:
        InputError: see `index_photos`; or standard input names none.
    """
    from showattend.data.photos import index_photos

    photos, note = index_photos(name for pattern in args.photos for name in (_names_from_stdin() if pattern == "-" else [pattern]))
    if not photos:
        raise InputError("standard input names no photo: write one path a line to it")
    if note:
        print_error(note)
    return photos


def _names_from_stdin() -> Iterator[str]:
    """Paths that end at line breaks, or at null characters as `find -print0` writes them, as they come."""
    rest, end = b"", b"\n"
    while block := sys.stdin.buffer.read(READ_BYTES) if sys.stdin else b"":
        end = b"\0" if b"\0" in block else end  # a path is shorter than the first block
        *names, rest = (rest + block).split(end)
        yield from _paths(names, end)
    yield from _paths([rest], end)


def _paths(names: Iterable[bytes], end: bytes) -> Iterator[str]:
    lines = (line for name in names for line in (name.splitlines() if end == b"\n" else [name]))
    return (os.fsdecode(line) for line in lines if line.strip())


def captioner_from_args(args: argparse.Namespace) -> Captioner:
    """The captioner over the models of --model and --ensemble.

    Raises:
        InputError: there is no model option, or see `Captioner.from_pretrained`.
    """
    from showattend.inference import Captioner

    folders = model_folders_from_args(args)
    if not folders:
        raise InputError("no model: give --model DIR, or --ensemble DIR DIR …")
    options: dict[str, Any] = {"attention_mode": args.attention_mode, "precision": precision_from_args(args)}
    if getattr(args, "fuse", None):
        options["fuse"] = args.fuse
    if args.trust:
        options["trust"] = tuple(args.trust)
    return Captioner.from_pretrained(folders[0], args.device, ensemble=folders[1:], **options)


def precision_from_args(args: argparse.Namespace) -> str:
    """The precision of --precision; a line says what auto took, where that is not float32 or auto was asked for by name.

    Raises:
        InputError: see `choose_device` and `choose_precision`.
    """
    from showattend.inference import choose_device, choose_precision

    precision = choose_precision(args.precision or "auto", choose_device(args.device))
    if precision.note and (args.precision or precision.name != "32"):
        print_error(precision.note)
    return precision.name


def exported_captioner_from_args(args: argparse.Namespace) -> ExportedCaptioner:
    """The captioner over an exported model.

    Raises:
        InputError: there is no --model, an option is torch's alone, or see `ExportedCaptioner.from_folder`.
    """
    from showattend.runtime import ExportedCaptioner

    torch_only = {
        "--ensemble": args.ensemble,
        "--attention-mode": args.attention_mode,
        "--device": args.device not in (None, "auto", "cpu"),
        "--trust": args.trust,
        "--fuse": args.fuse == "always",
        "--precision": args.precision not in (None, "auto", "32"),
    }
    for option, given in torch_only.items():
        if given:
            advice = "showattend export has --int8" if args.precision == "int8" else "leave it out, or caption with --backend torch"
            raise InputError(f"{option} is an option of torch, not of onnxruntime: {advice}")
    if args.model is None:
        raise InputError("no model: give --model DIR, a folder that showattend export has written")
    return ExportedCaptioner.from_folder(args.model)


def captioners_by_name(folders: Sequence[Path | None], args: argparse.Namespace) -> dict[str, Captioner]:
    """A captioner for each model folder, to be shown beside each other, by short names.

    Args:
        folders: the first is None where --ensemble stands in its place

    Raises:
        InputError: the models have different vocabularies, or see `captioner_from_args`.
    """
    from showattend.inference import check_same_vocabulary

    ensemble, precision = getattr(args, "ensemble", []), precision_from_args(args)
    one_by_one = [{"model": folder, "ensemble": [] if n else ensemble, "precision": precision} for n, folder in enumerate(folders)]
    captioners = [captioner_from_args(argparse.Namespace(**{**vars(args), **own})) for own in one_by_one]
    named = dict(zip(_short_names([folder or ensemble[0] for folder in folders]), captioners, strict=True))
    check_same_vocabulary({name: captioner.model for name, captioner in named.items()})
    return named


def _short_names(folders: list[Path]) -> list[str]:
    """The runs' names where they tell the models apart: of runs/gru/model it is gru."""
    names = [folder.resolve().parent.name if folder.resolve().name == "model" else folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [f"{n}: {folder}" for n, folder in enumerate(folders, 1)]


def generation_config_from_args(captioner: Captioner | ExportedCaptioner | CaptionerRecipe, args: argparse.Namespace) -> GenerationConfig:
    """The model's generation settings, with those of the command line in their place.

    Raises:
        InputError: see `inference.generation_config`.
    """
    from showattend.inference import generation_config

    return generation_config(captioner.model, **given_generation_options(args))
