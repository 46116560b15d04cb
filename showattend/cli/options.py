"""Options that several commands share; nothing heavy is imported here."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

# What `add_subparsers` returns; argparse gives it no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The model, see `from_args.captioner_from_args`."""
    parser.add_argument("--model", type=Path, required=required, metavar="DIR", help="model folder, such as runs/NAME/model")
    parser.add_argument(
        "--attention-mode",
        metavar="MODE",
        help="inference mode of hard attention: expected, argmax or sample (default: the model's)",
    )
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


def add_data_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The data set and its split."""
    parser.add_argument("--data.root", dest="root", type=Path, required=required, metavar="DIR", help="folder of the data set")
    parser.add_argument("--data.layout", dest="layout", default="auto", help="auto, or the layout's name (default: %(default)s)")
    parser.add_argument("--split", default="val" if required else None, help="train, val or test (default: val)")


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """The fields of `GenerationConfig`, see `from_args.generation_config_from_args`."""
    search = parser.add_argument_group("beam search (default: as the model was validated)")
    search.add_argument("--beam", type=int, metavar="K", help="hypotheses kept per photo; 1 is greedy")
    search.add_argument("--max-length", type=int, metavar="T", help="most tokens of a caption, <end> counted")
    search.add_argument("--min-length", type=int, metavar="T", help="fewest words of a caption")
    search.add_argument("--length-penalty", type=float, metavar="A", help="rank by log p / length^A: 0 prefers short captions")
    search.add_argument("--no-repeat-ngram", type=int, metavar="N", help="no N words twice in the same order")
    search.add_argument(
        "--must-include", action="append", default=[], metavar="WORD", help="every caption contains it; may be given up to 4 times"
    )
    search.add_argument("--ban", action="append", default=[], metavar="WORD", help="no caption contains it; may be given often")
    search.add_argument("--groups", type=int, metavar="G", help="diverse beam search: G groups of beams that avoid each other's words")
    search.add_argument("--diversity", type=float, metavar="X", help="penalty, in nats, on a word of an earlier group (default: 0.5)")
    sampling = parser.add_argument_group("sampling, instead of beam search")
    sampling.add_argument("--sample", action="store_true", help="draw every word from the model's distribution")
    sampling.add_argument("--temperature", type=float, metavar="X", help="below 1 prefers probable words, above 1 improbable ones")
    sampling.add_argument("--top-k", type=int, metavar="K", help="draw among the K most probable words")
    sampling.add_argument("--top-p", type=float, metavar="P", help="draw among the fewest words that have the probability P together")
    sampling.add_argument("--seed", type=int, help="other seeds draw other captions; the same one draws the same (default: 0)")


def add_speed_options(parser: argparse.ArgumentParser) -> None:
    """Batch size, worker processes, and faster but less exact arithmetic."""
    parser.add_argument(
        "--batch-size", type=whole_number(1), default=32, help="photos that go through the network together (default: %(default)s)"
    )
    parser.add_argument("--workers", type=whole_number(0), default=1, help="processes that read photos ahead (default: %(default)s)")
    parser.add_argument(
        "--fuse", action="store_true", help="compile the attention: takes seconds at the start, pays off from a thousand photos on"
    )
    parser.add_argument("--int8", action="store_true", help="search with 8-bit matrices: faster, a little less exact")


def whole_number(minimum: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of at least `minimum`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {minimum}")
        return int(text)

    return parse
