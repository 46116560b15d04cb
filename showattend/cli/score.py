"""`showattend score`: log-probabilities of given captions, and the attention map at each of their words."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.drawing import (
    OUT_HELP,
    add_drawing_options,
    check_number_of_captions,
    check_out_file,
    check_style,
    drawing_options_from_args,
)
from showattend.cli.from_args import captioner_from_args, inputs_from_args
from showattend.cli.options import Commands, add_model_options
from showattend.console import print_line
from showattend.errors import InputError

if TYPE_CHECKING:
    from showattend.inference import CaptionScore


def add_parser(commands: Commands) -> None:
    """The options of `showattend score`."""
    score = commands.add_parser(
        "score",
        help="log-probability of given captions, word by word, and their attention maps",
        description="Print the log-probability (nats) of each word, given the photo and the words before it, and of the whole caption.",
    )
    score.add_argument("photo", type=Path, help="a photo")
    score.add_argument("captions", nargs="+", metavar="CAPTION", help='in quotes, such as "a dog runs on the beach"; several are compared')
    add_model_options(score)
    score.add_argument("--out", type=Path, metavar="FILE", help=f"where it would look: {OUT_HELP}")
    add_drawing_options(score)
    score.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the log-probability of each word and of each caption, and draw the attention maps."""
    from showattend.data.images import open_photo
    from showattend.visualize import write_attention

    if not args.out and (args.gates or args.style or args.words or args.columns):
        raise InputError("--gates, --style, --words and --columns are options of a picture: give --out FILE too")
    if args.out:
        check_number_of_captions(len(args.captions), args.out.suffix)
        options = drawing_options_from_args(args)
        check_out_file(args.out, inputs_from_args(args))
    captioner = captioner_from_args(args)
    if args.out:
        check_style(options, {"": captioner})
    scores = captioner.score(args.photo, args.captions, details=bool(args.out), gates=args.gates)
    for score in scores:
        _print(score)
    if args.out:
        first, *others = (score.caption for score in scores)
        caption = replace(first, alternatives=others)
        write_attention(args.out, open_photo(args.photo)[0], args.photo.name, {"": caption}, options)
        print_line(args.out)
    return 0


def _print(score: CaptionScore) -> None:
    words = [*score.caption.labels, "<end>"]
    width = max(map(len, words))
    for word, log_prob in zip(words, score.log_probs.tolist(), strict=True):
        note = "  not in the model's vocabulary: <unk>" if word in score.unknown else ""
        print_line(f"  {word:{width}} {log_prob:9.3f}{note}")
    total = score.caption.score
    print_line(f"{total:.3f} in all, {total / len(words):.3f} per word (nats, <end> counted): {score.caption}")
    print_line()
