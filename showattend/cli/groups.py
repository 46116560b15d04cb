"""Options that several commands share; nothing heavy is imported here."""

import argparse
from collections.abc import Callable
from pathlib import Path


def add_model(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which model."""
    parser.add_argument("--model", type=Path, required=required, metavar="DIR", help="model folder, such as runs/NAME/model")
    parser.add_argument("--attention-mode", metavar="MODE", help="of hard attention: expected, argmax or sample (default: the model's)")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Which model, or models."""
    add_model(parser, required=False)
    parser.add_argument(
        "--ensemble",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="average the probabilities of several models with one vocabulary; with --model or instead of it",
    )


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which photos."""
    parser.add_argument("--data.root", dest="root", type=Path, required=required, metavar="DIR", help="folder of the data set")
    parser.add_argument("--data.layout", dest="layout", default="auto", help="auto, or the layout's name (default: %(default)s)")
    parser.add_argument("--split", default="val" if required else None, help="train, val or test (default: val)")


def add_search(parser: argparse.ArgumentParser) -> None:
    """What `Search` has, see `options.search_from_args`."""
    search = parser.add_argument_group("how captions are searched for (default: as the model was validated)")
    search.add_argument("--beam", type=int, metavar="K", help="hypotheses kept per photo, 1 is greedy")
    search.add_argument("--max-length", type=int, metavar="T", help="most words, <end> counted")
    search.add_argument("--min-length", type=int, metavar="T", help="fewest words")
    search.add_argument("--length-penalty", type=float, metavar="A", help="rank by log p / length^A: 0 prefers short captions")
    search.add_argument("--no-repeat-ngram", type=int, metavar="N", help="never say N words in the same order twice")
    search.add_argument(
        "--must-include", action="append", default=[], metavar="WORD", help="every caption says it; may be given up to 4 times"
    )
    search.add_argument("--ban", action="append", default=[], metavar="WORD", help="no caption says it; may be given often")
    search.add_argument("--groups", type=int, metavar="G", help="beams in G groups that avoid each other's words: diverse captions")
    search.add_argument("--diversity", type=float, metavar="X", help="how much the groups avoid each other, in nats (default: 0.5)")
    draw = parser.add_argument_group("or how they are drawn")
    draw.add_argument("--sample", action="store_true", help="draw every word by its probability")
    draw.add_argument("--temperature", type=float, metavar="X", help="below 1 prefers probable words, above 1 improbable ones")
    draw.add_argument("--top-k", type=int, metavar="K", help="draw among the K most probable words")
    draw.add_argument("--top-p", type=float, metavar="P", help="draw among the fewest words that have the probability P together")
    draw.add_argument("--seed", type=int, help="other seeds draw other captions; the same one draws the same (default: 0)")


def count(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of at least so many."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return read


def add_speed(parser: argparse.ArgumentParser) -> None:
    """How many at once, and how."""
    parser.add_argument(
        "--batch-size", type=count(1), default=32, help="photos that go through the network together (default: %(default)s)"
    )
    parser.add_argument("--workers", type=count(0), default=1, help="processes that read photos ahead (default: %(default)s)")
    parser.add_argument("--fuse", action="store_true", help="compile the attention: seconds at the start, faster from a thousand photos on")
    parser.add_argument("--int8", action="store_true", help="find captions with matrices of 8 bits: faster, a little less exact")
