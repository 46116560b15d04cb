"""`showattend score`: how probable given captions are, and where the model would look if it said them."""

import argparse

from showattend.data.transforms import open_photo
from showattend.errors import InputError
from showattend.files import check_writable
from showattend.inference import Captioner, Scored
from showattend.visualize import attention_figure, check_format


def score(parsed: argparse.Namespace) -> int:
    """Print the log-probability of each word and of each caption, and draw where the model would look."""
    if parsed.out:
        if len(parsed.captions) > 1:
            raise InputError("--out draws one caption: give one, or leave it out")
        check_format(parsed.out)
        check_writable(parsed.out)
    captioner = Captioner.from_pretrained(parsed.model, attention_mode=parsed.attention_mode)
    for found in captioner.score(parsed.photo, parsed.captions):
        _print(found)
        if parsed.out:
            attention_figure(open_photo(parsed.photo)[0], found.caption, parsed.out)
            print(parsed.out)
    return 0


def _print(found: Scored) -> None:
    words = [*found.caption.words, "<end>"]
    width = max(map(len, words))
    for word, log_prob in zip(words, found.log_probs.tolist(), strict=True):
        note = "  not in the model's vocabulary: <unk>" if word in found.unknown else ""
        print(f"  {word:{width}} {log_prob:9.3f}{note}")
    count = len(words)
    print(f"{found.caption.score:.3f} in all, {found.caption.score / count:.3f} per word (nats, <end> counted): {found.caption}\n")
