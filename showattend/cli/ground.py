"""`showattend ground`: alpha against boxes of the named objects, how sharp it is, and the effect of hiding locations on a word."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from showattend.cli.from_args import captioner_from_args, generation_config_from_args, inputs_from_args
from showattend.cli.options import Commands, add_data_options, add_generation_options, add_model_options, add_speed_options, whole_number
from showattend.console import print_error, printable
from showattend.errors import InputError
from showattend.files import check_writable

if TYPE_CHECKING:
    from showattend.data.boxes import ObjectBoxes, ObjectWord
    from showattend.data.captions import Photo
    from showattend.grounding import Mention, Sharpness
    from showattend.inference import Caption, Captioner
    from showattend.vocabulary import Vocabulary

    GroundedCaption = tuple[Photo, Caption, list[ObjectWord]]


def add_parser(commands: Commands) -> None:
    """The options of `showattend ground`."""
    ground = commands.add_parser(
        "ground",
        help="attention against boxes of objects, and words against the locations attended to",
        description="For each word that names an object: whether alpha's peak lies in the object's box (pointing), the share of alpha "
        "in the box (mass), and the overlap of box and locations with large alpha (IoU), with chance level and an alpha on the centre to "
        "compare. Then, with or without boxes, how sharp alpha is for each class of words, and faithfulness: how far the word's "
        "probability falls when the locations with the largest alpha are hidden, or random ones.",
    )
    add_model_options(ground)
    add_data_options(ground)
    ground.add_argument(
        "--boxes",
        default="auto",
        help="auto, or whose boxes: shapes, entities, coco; none: nouns of English captions, without boxes (default: %(default)s)",
    )
    ground.add_argument(
        "--captions",
        choices=("model", "references"),
        default="model",
        help="whose words: the model's captions, or the data set's, the same for every model (default: %(default)s)",
    )
    ground.add_argument(
        "--faithfulness",
        type=whole_number(0),
        default=200,
        metavar="N",
        help="words whose curves are computed, a random sample by --seed; 0: none (default: 200)",
    )
    ground.add_argument("--plot", type=Path, metavar="FILE", help="draw the deletion and insertion curves")
    ground.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write grounding.json, faithfulness.json, and, where there are boxes, mentions.csv with every word",
    )
    add_speed_options(ground)
    add_generation_options(ground, one_caption=True)
    ground.set_defaults(run=run)


class GroundingInputs(NamedTuple):
    """The model, the photos that have boxes, and the boxes."""

    captioner: Captioner
    photos: list[Photo]
    boxes: ObjectBoxes


def run(args: argparse.Namespace) -> int:
    """Measure alpha against boxes, its sharpness, and how much words depend on the locations with the largest alpha.

    Returns:
        0, or 1 if a photo was left out
    """
    from showattend.cli.grounding_output import print_sharpness, print_summary, write_grounding
    from showattend.data.boxes import read_boxes
    from showattend.data.captions import read_captions
    from showattend.grounding import MEASURED, Mention, summarize

    _check_outputs(args)
    data = read_captions(args.root, args.layout)
    photos = data.split(args.split)
    boxes = read_boxes(args.root, photos, args.boxes)
    captioner = captioner_from_args(args)
    if captioner.model.vocabulary.subwords:
        raise InputError("ground measures words, and the model's tokens are subwords (bpe): give a model of words")
    if (tokenizer := captioner.model.vocabulary.word_tokenizer) != "nltk":
        print_error(f"names of objects are known in English only, and the model's captions may be in another language ({tokenizer} tokens)")
    for note in data.notes:
        print_error(note)
    inputs = GroundingInputs(captioner, list(_photos_with_boxes(photos, boxes)), boxes)
    captions = list(_score_references(inputs) if args.captions == "references" else _caption_photos(inputs, args))
    mentions = [Mention(photo, caption, word) for photo, caption, words in captions for word in words]
    measured = [mention for mention in mentions if mention.status == MEASURED or not boxes.has_boxes]
    if not measured:
        counts = f"{len(captions)} captions of {len(photos)} photos"
        what = "an object whose box the network sees" if boxes.has_boxes else "an object"
        raise InputError(f"nothing to measure: in {counts} no word names {what}")
    summary, sharpness = summarize(measured) if boxes.has_boxes else None, _sharpness(captions, photos)
    if args.out:
        write_grounding(args.out, summary, sharpness, mentions)
    print(f"\n{printable(_title(args))}")
    if summary:
        print_summary(summary, mentions)
    print_sharpness(sharpness)
    if args.faithfulness:
        _run_faithfulness(captioner, measured, args)
    return 0 if len({photo.id for photo, _, _ in captions}) == len(photos) else 1


def _sharpness(captions: Sequence[GroundedCaption], photos: Sequence[Photo]) -> Sharpness:
    """The entropy of alpha, by the classes of the words."""
    from showattend.grounding import summarize_sharpness
    from showattend.vocabulary import tokenize
    from showattend.vocabulary.word_classes import WordClasses

    class_of = WordClasses(tokenize(text) for photo in photos for text in photo.captions)
    return summarize_sharpness([(photo.id, caption) for photo, caption, _ in captions], class_of)


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse what cannot be written before the work rather than after it."""
    if args.out:
        check_writable(args.out / "mentions.csv")
    if args.plot:
        from showattend.visualize import check_format

        if not args.faithfulness:
            raise InputError("--plot draws the curves of --faithfulness N, and N is 0: give at least 1, or leave --plot out")
        check_format(args.plot)
        check_writable(args.plot, inputs_from_args(args))


def _photos_with_boxes(photos: Sequence[Photo], boxes: ObjectBoxes) -> Iterator[Photo]:
    """The photos whose objects have boxes; the others are printed."""
    for photo in photos:
        reason = boxes.problem(photo)
        if reason:
            print_error(f"skipped {reason}")
        else:
            yield photo


def _caption_photos(inputs: GroundingInputs, args: argparse.Namespace) -> Iterator[GroundedCaption]:
    """The model's caption of each photo, with the words that name objects."""
    from tqdm import tqdm

    from showattend.inference import Failure

    # Without --sample the seed is that of the words whose curves are computed.
    searching = args if args.sample else argparse.Namespace(**{**vars(args), "seed": None})
    config = generation_config_from_args(inputs.captioner, searching)
    paths = [photo.path for photo in inputs.photos]
    results = inputs.captioner.caption_files(paths, config, batch_size=args.batch_size, workers=args.workers)
    for photo, (_, result) in zip(inputs.photos, tqdm(results, "Captioning", len(paths), unit=" photos"), strict=True):
        if isinstance(result, Failure):
            print_error(f"skipped {result.reason}")
        else:
            yield photo, result, inputs.boxes.object_words(photo, result.words)


def _score_references(inputs: GroundingInputs) -> Iterator[GroundedCaption]:
    """The data set's captions of each photo, with the alphas that the model has under teacher forcing."""
    from tqdm import tqdm

    from showattend.data.images import BrokenImage

    for photo in tqdm(inputs.photos, "Scoring references", unit=" photos"):
        references = inputs.boxes.references(photo)
        try:
            scores = inputs.captioner.score_words(photo.path, [words for words, _ in references])
        except BrokenImage as error:
            print_error(f"skipped {error}")
        else:
            yield from ((photo, score.caption, words) for score, (_, words) in zip(scores, references, strict=True))


def _run_faithfulness(captioner: Captioner, measured: Sequence[Mention], args: argparse.Namespace) -> None:
    """Compute the deletion and insertion curves of a sample of mentions; write, print and draw them."""
    from tqdm import tqdm

    from showattend.cli.grounding_output import print_curves, write_curves
    from showattend.grounding import faithfulness_curves, summarize_curves

    seed = args.seed or 0
    mentions = _sample_known(measured, captioner.model.vocabulary, args.faithfulness, seed)
    curves = faithfulness_curves(captioner, mentions, batch_size=args.batch_size, seed=seed)
    summary = summarize_curves(list(tqdm(curves, "Hiding locations", len(mentions), unit=" words")), mentions)
    if args.out:
        write_curves(args.out, summary, mentions)
    print_curves(summary, mentions)
    if args.plot:
        from showattend.visualize import curves_figure, save_figure

        save_figure(curves_figure(summary.points), args.plot)
        print(f"\n{args.plot}")


def _sample_known(mentions: Sequence[Mention], vocabulary: Vocabulary, count: int, seed: int) -> list[Mention]:
    """At most `count` mentions of words that the model knows, drawn at random, in their order.

    Raises:
        InputError: the model knows none of the words.
    """
    known = [mention for mention in mentions if mention.text in vocabulary.token_to_id]
    if not known:
        raise InputError("the model knows none of the words that name objects: leave faithfulness out with --faithfulness 0")
    if len(known) < len(mentions):
        print_error(f"{len(mentions) - len(known)} words that are not in the model's vocabulary are left out of the curves")
    return [known[i] for i in sorted(random.Random(seed).sample(range(len(known)), min(count, len(known))))]


def _title(args: argparse.Namespace) -> str:
    whose = "the data set's captions" if args.captions == "references" else "the model's captions"
    return f"{args.model} on {args.root}, split {args.split}, {whose}"
