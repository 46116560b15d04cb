"""`showattend idf`: document frequencies of a corpus of references, for `showattend evaluate --idf`."""

import argparse
from pathlib import Path

from showattend.cli.from_args import inputs_from_args
from showattend.cli.options import Commands, add_data_options
from showattend.console import print_error, print_line
from showattend.errors import InputError, unknown_name
from showattend.files import check_writable


def add_parser(commands: Commands) -> None:
    """The options of `showattend idf`."""
    idf = commands.add_parser(
        "idf",
        help="write the document frequencies of a corpus, for the CIDEr-D of few photos",
        description="Count in how many photos each n-gram stands in a reference, and write the counts as JSON. `showattend evaluate --idf "
        "FILE` then weighs n-grams by this corpus, as the evaluation server of COCO does, and not by the photos that are scored.",
    )
    idf.add_argument("out", type=Path, metavar="FILE", help="JSON file to write")
    add_data_options(idf, required=False)
    idf.add_argument(
        "--references", type=Path, metavar="FILE", help="the corpus: a file as evaluate --references takes, or --data.root DIR"
    )
    idf.add_argument("--tokenizer", default="ptb", help="that of evaluate: ptb, nltk, unicode or char (default: %(default)s)")
    idf.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Count the n-grams of the references, and write them."""
    from showattend.cli.scoring import TOKENIZERS
    from showattend.cli.scoring_inputs import read_scoring_references
    from showattend.metrics.document_frequencies import count_document_frequencies, write_document_frequencies

    if bool(args.root) == bool(args.references):
        raise InputError("the corpus comes from --data.root DIR or from --references FILE: give one of the two")
    if args.tokenizer not in TOKENIZERS:
        raise unknown_name("tokenizer", args.tokenizer, TOKENIZERS)
    check_writable(args.out, inputs_from_args(args))
    references, _ = read_scoring_references(args.references, args.root, args.layout, args.split)
    for note in references.notes:
        print_error(note)
    split = TOKENIZERS[args.tokenizer]
    tokens = ([split(text) for text in texts] for texts in references.captions.values())
    frequencies = count_document_frequencies(tokens, args.tokenizer)
    write_document_frequencies(args.out, frequencies)
    print_line(f"{len(frequencies.counts):,} n-grams of {frequencies.photos:,} photos in {args.out}")
    return 0
