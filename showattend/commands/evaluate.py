"""`showattend evaluate`: the scores of a model's captions."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from showattend.commands.options import chosen_captioner, chosen_folders, chosen_search
from showattend.commands.results import coco_results, read_coco_results, write_text
from showattend.data.captions import read_captions
from showattend.errors import InputError, unknown_name
from showattend.files import check_writable
from showattend.inference import Failure
from showattend.metrics import PhotoStatistics, compare, intervals, ptb_tokenize
from showattend.metrics.significance import Comparison, Interval
from showattend.vocabulary import tokenize

NAMES = {"bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L", "cider_d": "CIDEr-D"}
TOKENIZERS = {
    "nltk": (tokenize, "nltk Treebank tokens, lower case, no punctuation"),
    "ptb": (ptb_tokenize, "the official scorers' PTB tokens"),
}


def evaluate(parsed: argparse.Namespace) -> int:
    """Score a model on a split of a data set; results are on disk before any score is computed."""
    out = parsed.out
    if out:
        check_writable(out / "results.json")
    if parsed.tokenizer not in TOKENIZERS:
        raise unknown_name("tokenizer", parsed.tokenizer, TOKENIZERS)
    data = read_captions(parsed.root, parsed.layout)
    photos = data.split(parsed.split)
    other = read_coco_results(parsed.compare, {photo.id for photo in photos}) if parsed.compare else {}
    captioner = chosen_captioner(parsed)
    search = chosen_search(captioner, parsed)
    for note in data.notes:
        print(note, file=sys.stderr)
    results = captioner.caption_files([photo.path for photo in photos], search, batch_size=parsed.batch_size, workers=parsed.workers)
    captions: dict[int | str, list[str]] = {}
    for photo, (_, result) in zip(photos, tqdm(results, desc="Captioning", total=len(photos), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            captions[photo.id] = result.words
    if not captions:
        raise InputError(f"none of the {len(photos)} photos of the split '{parsed.split}' can be read")
    if out:
        write_text(out / "results.json", coco_results(captions.items()))
    split = TOKENIZERS[parsed.tokenizer][0]
    references = {photo.id: [split(text) for text in photo.captions] for photo in photos if photo.id in captions}
    statistics = PhotoStatistics({photo: split(" ".join(words)) for photo, words in captions.items()}, references)
    metrics = statistics.scores()
    if out:
        write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _print_scores(metrics, intervals(statistics), parsed)
    print(
        f"  {len(captions)} photos, {sum(map(len, references.values()))} references; {search}; {TOKENIZERS[parsed.tokenizer][1]}; "
        "closest reference length; scale 0 to 1, CIDEr-D 0 to 10; in brackets 95% of 1,000 bootstrap samples of the photos"
    )
    if other:
        theirs = PhotoStatistics({photo: split(other[photo]) for photo in captions}, references)
        _print_comparison(compare(statistics, theirs), parsed.compare)
    return 0 if len(captions) == len(photos) else 1


def _print_scores(metrics: dict[str, float], bounds: Mapping[str, Interval], parsed: argparse.Namespace) -> None:
    print(f"\n{' + '.join(map(str, chosen_folders(parsed)))} on {parsed.root}, split {parsed.split}")
    for name, value in metrics.items():
        print(f"  {NAMES[name]:8}{value:8.4f}  [{bounds[name].low:.4f}, {bounds[name].high:.4f}]")


def _print_comparison(found: Mapping[str, Comparison], other: Path) -> None:
    print(f"\nmore than {other}, with 95% of a paired bootstrap and p by approximate randomisation")
    for name, (difference, interval, p) in found.items():
        print(f"  {NAMES[name]:8}{difference:+8.4f}  [{interval.low:+.4f}, {interval.high:+.4f}]  p {p:.3f}")
