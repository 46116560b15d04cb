"""`showattend attend`: where the model looked for each word of a photo's caption."""

import argparse

from showattend.cli.options import captioner_from_args, search_from_args
from showattend.data.transforms import open_photo
from showattend.files import check_writable
from showattend.visualize import attention_figure, check_format


def attend(args: argparse.Namespace) -> int:
    """Draw where the model looked for each word of one photo's caption."""
    check_format(args.out)
    check_writable(args.out)
    photo, _ = open_photo(args.photo)
    captioner = captioner_from_args(args)
    # From the file, as `caption` does: a large JPEG opened whole would give slightly other numbers.
    found = captioner.caption(args.photo, search_from_args(captioner, args))
    attention_figure(photo, found, args.out)
    print(f"{found}\n{args.out}")
    return 0
