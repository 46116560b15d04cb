"""`showattend attend`: attention maps for each word of a photo's caption."""

import argparse
from pathlib import Path

from showattend.cli.from_args import captioner_from_args, generation_config_from_args
from showattend.cli.options import Commands, add_ensemble_options, add_generation_options
from showattend.files import check_writable


def add_parser(commands: Commands) -> None:
    """The options of `showattend attend`."""
    attend = commands.add_parser("attend", help="draw the attention map of each word of a photo's caption")
    attend.add_argument("photo", type=Path, help="a photo")
    add_ensemble_options(attend)
    attend.add_argument("--out", type=Path, required=True, metavar="FILE", help="figure to write: .png, .jpg, .pdf, .svg, .webp")
    add_generation_options(attend)
    attend.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Caption one photo and draw the attention map of each word."""
    from showattend.data.images import open_photo
    from showattend.visualize import attention_figure, check_format, save_figure

    check_format(args.out)
    check_writable(args.out)
    photo, _ = open_photo(args.photo)
    captioner = captioner_from_args(args)
    # The file and not the open picture, as `showattend caption` does: both give the same caption then.
    caption = captioner.caption(args.photo, generation_config_from_args(captioner, args))
    save_figure(attention_figure(photo, caption), args.out)
    print(f"{caption}\n{args.out}")
    return 0
