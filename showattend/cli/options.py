"""Options that several commands share; nothing heavy is imported here."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeAlias

from showattend.generation_config import SAMPLING, GenerationConfig, field_descriptions
from showattend.ops.fusing import FUSE_MODES

MAX_NUMBER, MAX_DIGITS = 2**31 - 1, 20  # of an option that is a whole number
# What `add_subparsers` returns; argparse gives it no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """The photos, see `from_args.photos_from_args`."""
    parser.add_argument(
        "photos", nargs="+", metavar="PATH", help="photo, folder (searched to the bottom) or glob; -: paths from standard input, one a line"
    )


def add_model_options(parser: argparse.ArgumentParser, *, required: bool = True, several: bool = False) -> None:
    """The model, see `from_args.captioner_from_args`; or several beside each other, see `from_args.captioners_by_name`."""
    text = "model folder, such as runs/NAME/model, or a model of the Hugging Face Hub, USER/NAME[@REVISION]"
    if several:
        parser.add_argument("--model", type=Path, nargs="+", required=required, metavar="DIR", help=f"{text}; more are shown beside it")
    else:
        parser.add_argument("--model", type=Path, required=required, metavar="DIR", help=text)
    parser.add_argument(
        "--attention-mode",
        metavar="MODE",
        help="inference mode of hard attention: expected, argmax or sample (default: the model's)",
    )
    add_device_option(parser)
    parser.add_argument(
        "--precision",
        metavar="NAME",
        help="precision of the encoder's and the decoder's products: 32, bf16 or int8 (faster, a little less exact; int8 in the decoder "
        "alone), or auto: bf16 where this processor multiplies it faster, else 32 (default: auto)",
    )
    add_trust_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """The device, see `inference.choose_device`."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, mps or auto: cuda where there is one, else cpu (default: auto)")


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Code of the user's own that a model folder may name, see `load_pretrained`."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own, such as my_package.cells, that the model's files may import; may be given often",
    )


def add_ensemble_options(parser: argparse.ArgumentParser) -> None:
    """The model, or several whose probabilities are averaged."""
    add_model_options(parser, required=False)
    parser.add_argument(
        "--ensemble",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="average the probabilities of several models with one vocabulary; with --model or instead of it",
    )


def add_data_options(parser: argparse.ArgumentParser, *, required: bool = True, split: str = "val") -> None:
    """The data set and its split."""
    parser.add_argument("--data.root", dest="root", type=Path, required=required, metavar="DIR", help="folder of the data set")
    parser.add_argument("--data.layout", dest="layout", default="auto", help="auto, or the layout's name (default: %(default)s)")
    parser.add_argument("--split", default=split if required else None, help=f"train, val or test (default: {split})")


def add_generation_options(parser: argparse.ArgumentParser, *, one_caption: bool = False) -> None:
    """An option for each field of `GenerationConfig`, see `from_args.generation_config_from_args`.

    Args:
        one_caption: whether the command takes one caption of a photo, so that --num-captions would mean nothing
    """
    search = parser.add_argument_group("generation (default: as the model was validated)")
    sampling = parser.add_argument_group("sampling, instead of beam search")
    descriptions = field_descriptions(GenerationConfig)
    for field in fields(GenerationConfig):
        if field.name == "num_captions" and one_caption:
            continue
        group = sampling if field.name in SAMPLING else search
        option, text = f"--{field.name.replace('_', '-')}", descriptions[field.name]
        if isinstance(field.default, bool):
            group.add_argument(option, action="store_true", help=text)
        elif isinstance(field.default, tuple):
            words = text.removesuffix(", by their ids")
            group.add_argument(option, action="append", default=[], metavar="WORD", help=f"{words}; may be given often")
        else:
            number = float if isinstance(field.default, float) else int
            group.add_argument(option, type=number, metavar="X" if number is float else "N", help=text)


def add_speed_options(parser: argparse.ArgumentParser) -> None:
    """Batch size, worker processes, and compiled loops."""
    parser.add_argument(
        "--batch-size", type=whole_number(1), default=64, help="photos that go through the network together (default: %(default)s)"
    )
    parser.add_argument("--workers", type=whole_number(0), default=1, help="processes that read photos ahead (default: %(default)s)")
    parser.add_argument(
        "--fuse",
        choices=FUSE_MODES,
        help="compile the attention's loops, half a minute at the start, with a C++ compiler (default: auto, where there are so many "
        "photos that it pays, such as some thousands)",
    )


def whole_number(minimum: int, maximum: int = MAX_NUMBER) -> Callable[[str], int]:
    """The type of an option that is a whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > MAX_DIGITS or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number of at least {minimum} and at most {maximum}")
        return int(text)

    return parse


def part_of_parts(text: str) -> tuple[int, int]:
    """The type of an option I/N: the I-th of N parts of the work."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and len(text) < 2 * MAX_DIGITS and 1 <= int(part) <= int(parts) <= MAX_NUMBER):
        raise argparse.ArgumentTypeError(f"{text!r} is no part I/N with I from 1 to N, such as 2/8")
    return int(part), int(parts)
