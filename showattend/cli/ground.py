"""`showattend ground`: does the model look at what it names, and does the word hang on where it looked?"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from showattend.cli.from_args import captioner_from_args, generation_config_from_args
from showattend.cli.options import Commands, add_data_options, add_generation_options, add_model_options, add_speed_options, whole_number
from showattend.errors import InputError
from showattend.files import check_writable, write_text

if TYPE_CHECKING:
    from showattend.data.boxes import ObjectBoxes, ObjectWord
    from showattend.data.captions import Photo
    from showattend.grounding import CurveSummary, Mention, Summary
    from showattend.inference import Caption, Captioner
    from showattend.metrics import Estimate

    Said = tuple[Photo, Caption, list[ObjectWord]]


def add_parser(commands: Commands) -> None:
    """The options of `showattend ground`."""
    ground = commands.add_parser(
        "ground",
        help="does it look at what it names? alpha against boxes, and words against what alpha looked at",
        description="For each word that names an object: does alpha's peak lie in the object's box (pointing), how much of alpha does, and "
        "how well does the region that it lights up overlap the box, beside what chance and looking at the middle reach. Then, "
        "faithfulness: how the word's probability falls when the locations with the largest alpha are hidden, against random ones.",
    )
    add_model_options(ground)
    add_data_options(ground)
    ground.add_argument("--boxes", default="auto", help="auto, or whose boxes: shapes, entities, coco (default: %(default)s)")
    ground.add_argument(
        "--captions",
        choices=("model", "references"),
        default="model",
        help="whose words: what the model says, or the data set's captions, the same for every model (default: %(default)s)",
    )
    ground.add_argument(
        "--faithfulness",
        type=whole_number(0),
        default=200,
        metavar="N",
        help="words to hide photos for, drawn by --seed; 0: none (default: 200)",
    )
    ground.add_argument("--plot", type=Path, metavar="FILE", help="draw the deletion and insertion curves")
    ground.add_argument("--out", type=Path, metavar="DIR", help="write grounding.json, faithfulness.json, and mentions.csv with every word")
    add_speed_options(ground)
    add_generation_options(ground)
    ground.set_defaults(run=run)


NAMES = {"pointing": "pointing", "mass": "mass in boxes", "iou": "IoU"}
NOUNS = 10  # in the table


class GroundingInputs(NamedTuple):
    """What a run works with: the model, the photos that have boxes, and these."""

    captioner: Captioner
    photos: list[Photo]
    boxes: ObjectBoxes


def run(args: argparse.Namespace) -> int:
    """Measure alpha against boxes, then words against what alpha looked at; 1 if a photo had to be left out."""
    from showattend.cli.grounding_files import summary_json, write_mentions
    from showattend.data.boxes import read_boxes
    from showattend.data.captions import read_captions
    from showattend.grounding import MEASURED, Mention, summarize

    _check(args)
    data = read_captions(args.root, args.layout)
    photos = data.split(args.split)
    boxes = read_boxes(args.root, photos, args.boxes)
    captioner = captioner_from_args(args)
    for note in data.notes:
        print(note, file=sys.stderr)
    inputs = GroundingInputs(captioner, list(_with_boxes(photos, boxes)), boxes)
    said = list(_from_references(inputs) if args.captions == "references" else _from_model(inputs, args))
    mentions = [Mention(photo, caption, word) for photo, caption, words in said for word in words]
    measured = [mention for mention in mentions if mention.state == MEASURED]
    if not measured:
        raise InputError(f"nothing to measure: in {len(said)} captions of {len(photos)} photos no word names an object with a box in sight")
    summary = summarize(measured)
    if args.out:
        write_mentions(args.out / "mentions.csv", mentions, summary)
        write_text(args.out / "grounding.json", json.dumps(summary_json(summary, mentions), indent=2) + "\n")
    _print_summary(summary, mentions, args)
    if args.faithfulness:
        _hide(captioner, measured, args)
    return 0 if len({photo.id for photo, _, _ in said}) == len(photos) else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse before the work what would fail after it."""
    if args.out:
        check_writable(args.out / "mentions.csv")
    if args.plot:
        from showattend.visualize import check_format

        if not args.faithfulness:
            raise InputError("--plot draws the curves of --faithfulness N: ask for at least one word, or leave it out")
        check_format(args.plot)
        check_writable(args.plot)


def _with_boxes(photos: Sequence[Photo], boxes: ObjectBoxes) -> Iterator[Photo]:
    """The photos of which it is known where their objects lie; the others are named."""
    for photo in photos:
        reason = boxes.problem(photo)
        if reason:
            print(f"skipped {reason}", file=sys.stderr)
        else:
            yield photo


def _from_model(inputs: GroundingInputs, args: argparse.Namespace) -> Iterator[Said]:
    """What the model says of each photo."""
    from tqdm import tqdm

    from showattend.inference import Failure

    search = generation_config_from_args(inputs.captioner, args)
    paths = [photo.path for photo in inputs.photos]
    results = inputs.captioner.caption_files(paths, search, batch_size=args.batch_size, workers=args.workers)
    for photo, (_, result) in zip(inputs.photos, tqdm(results, desc="Captioning", total=len(paths), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print(f"skipped {result.reason}", file=sys.stderr)
        else:
            yield photo, result, inputs.boxes.object_words(photo, result.words)


def _from_references(inputs: GroundingInputs) -> Iterator[Said]:
    """What people said of each photo, and where the model would look if it said that."""
    from tqdm import tqdm

    from showattend.data.images import BrokenImage

    for photo in tqdm(inputs.photos, desc="Hearing", unit=" photos"):
        references = inputs.boxes.references(photo)
        try:
            scored = inputs.captioner.score_words(photo.path, [words for words, _ in references])
        except BrokenImage as error:
            print(f"skipped {error}", file=sys.stderr)
        else:
            yield from ((photo, found.caption, named) for found, (_, named) in zip(scored, references, strict=True))


def _hide(captioner: Captioner, measured: Sequence[Mention], args: argparse.Namespace) -> None:
    """Curves of some mentions, drawn by chance, in a file, on the screen and as a figure."""
    from tqdm import tqdm

    from showattend.cli.grounding_files import curves_json
    from showattend.grounding import curves, summarize_curves

    known = [mention for mention in measured if mention.caption.words[mention.word.position] in captioner.model.vocabulary.token_to_id]
    if not known:
        raise InputError("the model knows none of the words that name objects: leave faithfulness out with --faithfulness 0")
    if len(known) < len(measured):
        print(f"{len(measured) - len(known)} words that the model has never learned are left out of the curves", file=sys.stderr)
    seed = args.seed or 0
    chosen = [known[i] for i in sorted(random.Random(seed).sample(range(len(known)), min(args.faithfulness, len(known))))]
    found = list(tqdm(curves(captioner, chosen, batch_size=args.batch_size, seed=seed), "Hiding", len(chosen), unit=" words"))
    summary = summarize_curves(found, chosen)
    if args.out:
        write_text(args.out / "faithfulness.json", json.dumps(curves_json(summary, chosen), indent=2) + "\n")
    _print_curves(summary, chosen)
    if args.plot:
        from showattend.visualize import curves_figure, save_figure

        save_figure(curves_figure(summary.points), args.plot)
        print(f"\n{args.plot}")


def _print_summary(summary: Summary, mentions: Sequence[Mention], args: argparse.Namespace) -> None:
    from showattend.cli.grounding_files import pointing_with_misses
    from showattend.grounding import MEASURED, MEASURES, NO_BOX, OUT_OF_SIGHT

    whose = "the data set's captions" if args.captions == "references" else "the model's captions"
    print(f"\n{args.model} on {args.root}, split {args.split}, {whose}\n")
    print(f"  {'':15}" + "".join(f"{who:24}" for who in summary.estimates).rstrip())
    for name in MEASURES:
        label = f"{NAMES[name]} at {summary.threshold:.2g}" if name == "iou" else NAMES[name]
        print(f"  {label:15}" + "".join(f"{_interval(of_who[name]):24}" for of_who in summary.estimates.values()).rstrip())
    photos = len({mention.photo.id for mention in mentions if mention.state == MEASURED})
    print(f"  {len(summary.values)} words in {photos} photos; in brackets 95% of 1,000 bootstrap samples of the photos.")
    print("  chance looks everywhere alike, centre at the middle; IoU: of the cells with alpha at least so much of its maximum.")
    _print_left_out("name nothing that has a box in the photo", NO_BOX, mentions)
    _print_left_out("name what lies outside what the network sees", OUT_OF_SIGHT, mentions)
    if len(mentions) > len(summary.values):
        print(f"  If they counted as misses, pointing would be {pointing_with_misses(summary, mentions):.3f}.")
    print(f"\n  {'noun':15}words  " + "".join(f"{NAMES[name]:15}" for name in MEASURES).rstrip())
    for noun, (count, means) in list(summary.nouns.items())[:NOUNS]:
        print(f"  {noun:15}{count:5}  " + "".join(f"{means[name]:<15.3f}" for name in MEASURES).rstrip())


def _print_left_out(reason: str, state: str, mentions: Sequence[Mention]) -> None:
    """How many words could not be measured, with the first of them."""
    left_out = [mention for mention in mentions if mention.state == state]
    if left_out:
        first = left_out[0]
        such = f"'{first.caption.words[first.word.position]}' in {first.photo.path.name}"
        print(f"  {len(left_out)} more words ({len(left_out) / len(mentions):.1%}) {reason}, such as {such}: not measured.")


def _print_curves(summary: CurveSummary, chosen: Sequence[Mention]) -> None:
    print(f"\n  area under the curve of the probability of {len(chosen)} words, while locations are hidden (deletion) or shown (insertion)")
    print(f"  {'':15}{'in the order of alpha':24}{'in random orders':24}difference")
    for name, of_order in summary.areas.items():
        alpha, chance, difference = of_order["alpha"], of_order["random"], of_order["difference"]
        print(f"  {name:15}{_interval(alpha):24}{_interval(chance):24}{_interval(difference, '+.3f')}")


def _interval(estimate: Estimate, form: str = ".3f") -> str:
    return f"{estimate.value:{form}} [{estimate.interval.low:{form}}, {estimate.interval.high:{form}}]"
