"""`showattend attend`: where the model looked for each word of a photo's caption."""

import argparse

from showattend.cli.options import chosen_captioner, chosen_search
from showattend.data.transforms import open_photo
from showattend.files import check_writable
from showattend.visualize import attention_figure, check_format


def attend(parsed: argparse.Namespace) -> int:
    """Draw where the model looked for each word of one photo's caption."""
    check_format(parsed.out)
    check_writable(parsed.out)
    photo, _ = open_photo(parsed.photo)
    captioner = chosen_captioner(parsed)
    # From the file, as `caption` does: a large JPEG opened whole would give slightly other numbers.
    found = captioner.caption(parsed.photo, chosen_search(captioner, parsed))
    attention_figure(photo, found, parsed.out)
    print(f"{found}\n{parsed.out}")
    return 0
