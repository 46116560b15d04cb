"""`showattend score`: how probable given captions are, and where the model would look if it said them."""

import argparse

from showattend.data.transforms import open_photo
from showattend.errors import InputError
from showattend.files import check_writable
from showattend.inference import Captioner, CaptionScore
from showattend.visualize import attention_figure, check_format


def score(args: argparse.Namespace) -> int:
    """Print the log-probability of each word and of each caption, and draw where the model would look."""
    if args.out:
        if len(args.captions) > 1:
            raise InputError("--out draws one caption: give one, or leave it out")
        check_format(args.out)
        check_writable(args.out)
    captioner = Captioner.from_pretrained(args.model, attention_mode=args.attention_mode)
    for found in captioner.score(args.photo, args.captions):
        _print(found)
        if args.out:
            attention_figure(open_photo(args.photo)[0], found.caption, args.out)
            print(args.out)
    return 0


def _print(found: CaptionScore) -> None:
    words = [*found.caption.words, "<end>"]
    width = max(map(len, words))
    for word, log_prob in zip(words, found.log_probs.tolist(), strict=True):
        note = "  not in the model's vocabulary: <unk>" if word in found.unknown else ""
        print(f"  {word:{width}} {log_prob:9.3f}{note}")
    count = len(words)
    print(f"{found.caption.score:.3f} in all, {found.caption.score / count:.3f} per word (nats, <end> counted): {found.caption}\n")
