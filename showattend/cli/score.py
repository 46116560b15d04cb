"""`showattend score`: log-probabilities of given captions, and the attention map at each of their words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.from_args import captioner_from_args
from showattend.cli.options import Commands, add_model_options
from showattend.errors import InputError
from showattend.files import check_writable

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
    score.add_argument("--out", type=Path, metavar="FILE", help="figure of where it would look: .png, .jpg, .pdf, .svg, .webp")
    score.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the log-probability of each word and of each caption, and draw the attention maps."""
    from showattend.data.images import open_photo
    from showattend.visualize import attention_figure, check_format, save_figure

    if args.out:
        if len(args.captions) > 1:
            raise InputError("--out draws one caption: give one, or leave it out")
        check_format(args.out)
        check_writable(args.out)
    captioner = captioner_from_args(args)
    for score in captioner.score(args.photo, args.captions):
        _print(score)
        if args.out:
            save_figure(attention_figure(open_photo(args.photo)[0], score.caption), args.out)
            print(args.out)
    return 0


def _print(score: CaptionScore) -> None:
    words = [*score.caption.words, "<end>"]
    width = max(map(len, words))
    for word, log_prob in zip(words, score.log_probs.tolist(), strict=True):
        note = "  not in the model's vocabulary: <unk>" if word in score.unknown else ""
        print(f"  {word:{width}} {log_prob:9.3f}{note}")
    total = score.caption.score
    print(f"{total:.3f} in all, {total / len(words):.3f} per word (nats, <end> counted): {score.caption}\n")
