"""`showattend neighbors`: the photos of the training, for `--neighbors` of the commands that caption."""

import argparse
from dataclasses import replace
from pathlib import Path

from showattend.cli.options import Commands, add_data_options, add_device_option, add_trust_option, whole_number
from showattend.console import print_error, print_line
from showattend.errors import InputError
from showattend.generation_config import MAX_NEIGHBORS

DESCRIPTION = f"""\
Add the photos of a data set to a model folder, as its encoder sees them, with their captions; of more than {MAX_NEIGHBORS:,} so many are
drawn at random. With --neighbors the commands that caption then choose, of the captions that the beams found, the one that agrees most
with people's captions of these photos, those that look alike above all (kernel ridge regression). Give the photos that the model was
trained on, and none that it will be evaluated on.
"""


def add_parser(commands: Commands) -> None:
    """The options of `showattend neighbors`."""
    neighbors = commands.add_parser("neighbors", help="let captions agree with those of similar photos", description=DESCRIPTION)
    neighbors.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="model folder, such as runs/NAME/model; it is written anew"
    )
    add_data_options(neighbors, split="train")
    neighbors.add_argument(
        "--data.cache_dir",
        dest="cache_dir",
        type=Path,
        metavar="DIR",
        help="folder of cached features (default: that of fit, whose features of these photos are used)",
    )
    neighbors.add_argument("--workers", type=whole_number(0), default=1, help="processes that read photos ahead (default: %(default)s)")
    add_device_option(neighbors)
    add_trust_option(neighbors)
    neighbors.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compute the features, and write the model with them."""
    from showattend.data.captions import read_captions
    from showattend.files import check_writable, default_cache_dir
    from showattend.inference import choose_device
    from showattend.inference.neighbors import neighbors_of
    from showattend.model_files import A_MODEL, NEIGHBORS
    from showattend.pretrained import load_pretrained, save_pretrained

    if not args.model.is_dir():
        raise InputError(f"no model folder at {args.model}: give {A_MODEL}")
    check_writable(args.model / NEIGHBORS)
    model, device = load_pretrained(args.model, trust=args.trust), choose_device(args.device)
    data = read_captions(args.root, args.layout)
    for note in data.notes:
        print_error(note)
    photos = data.split(args.split)
    neighbors, broken = neighbors_of(model, photos, args.cache_dir or default_cache_dir(), device=device, workers=args.workers)
    if broken:
        print_error(f"{broken} of {len(photos)} photos could not be read, left out")
    model.network.cpu()
    save_pretrained(replace(model, neighbors=neighbors), args.model)
    size = (args.model / NEIGHBORS).stat().st_size
    print_line(f"{len(neighbors.features):,} photos in {args.model / NEIGHBORS}, {size / 1e6:.0f} MB: caption with --beam 20 --neighbors")
    return 0
