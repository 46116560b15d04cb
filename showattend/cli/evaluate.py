"""`showattend evaluate`: which captions are scored, and against what. scoring.py computes, scoring_output.py shows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from showattend.cli.from_args import (
    captioner_from_args,
    generation_config_from_args,
    given_generation_options,
    inputs_from_args,
    model_folders_from_args,
)
from showattend.cli.options import Commands, add_data_options, add_ensemble_options, add_generation_options, add_speed_options
from showattend.console import print_error
from showattend.errors import InputError, unknown_name
from showattend.files import check_writable, sha256_of, writable, write_text

if TYPE_CHECKING:
    from showattend.cli.caption_files import CaptionFiles
    from showattend.cli.scoring import ScoringInputs
    from showattend.data.listings import PhotoId
    from showattend.data.references import References
    from showattend.data.results import Results
    from showattend.inference import Caption, Failure
    from showattend.pretrained import Pretrained


RESULTS, SOURCE = "results.json", "source.json"  # in --out: the captions, and where they come from


def add_parser(commands: Commands) -> None:
    """The options of `showattend evaluate`."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score captions of a model or of a file: BLEU-1..4, ROUGE-L, CIDEr-D",
        description="Score a model's captions of a data set (--model, --data.root), or captions from a file, without a model "
        "(--results, with --references or --data.root). Each score comes with a 95% bootstrap interval over the photos, all of them with "
        "a signature: a line that records how they were computed.",
    )
    add_ensemble_options(evaluate)
    add_data_options(evaluate, required=False)
    _add_files(evaluate)
    _add_scores(evaluate)
    add_speed_options(evaluate)
    add_generation_options(evaluate, one_caption=True)
    evaluate.set_defaults(run=run)


def _add_files(evaluate: argparse.ArgumentParser) -> None:
    files = evaluate.add_argument_group("captions from a file")
    files.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="score these captions, in COCO's result format: image_id is the references' id, or the name of the photo's file",
    )
    files.add_argument(
        "--references",
        type=Path,
        metavar="FILE",
        help="with --results: COCO's captions, Karpathy's JSON, Flickr's tokens, or a CSV of image and caption; where the file names "
        "splits those of --split, else all photos. No image file is needed",
    )


def _add_scores(evaluate: argparse.ArgumentParser) -> None:
    scores = evaluate.add_argument_group("scores")
    scores.add_argument(
        "--strict", action="store_true", help="a photo without caption or with two, an unknown id, an empty caption: status 2 and no score"
    )
    scores.add_argument(
        "--tokenizer",
        help="nltk, unicode or char (default: that of the model), or ptb, the official scorers' tokens (default with --results): "
        "take ptb to compare with published scores",
    )
    scores.add_argument(
        "--official",
        nargs="*",
        metavar="NAME",
        help="meteor (the default) and spice too, by their authors' own Java on PTB tokens: pip install 'showattend[coco]' and a Java, "
        "8 to 14 for spice. Checked before the work; where one cannot be used, a line gives the reason, the other scores are computed, and "
        "the status is 1",
    )
    scores.add_argument(
        "--spice-models",
        type=Path,
        metavar="DIR",
        help="folder of Stanford CoreNLP 3.6.0's two jars, for spice (default: pycocoevalcap's own, if it has them); nothing is downloaded",
    )
    scores.add_argument(
        "--idf",
        type=Path,
        metavar="FILE",
        help="document frequencies of a larger corpus for CIDEr-D, as showattend idf writes them (default: those of the references)",
    )
    scores.add_argument("--compare", type=Path, metavar="FILE", help="another system's captions of the same photos, as --out writes them")
    scores.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write metrics.json, photos.csv with each photo's scores, and a model's captions as results.json (COCO's format)",
    )
    scores.add_argument(
        "--resume",
        action="store_true",
        help="go on from the captions that an interrupted run has left in --out: photos in its results.json are not captioned again",
    )
    scores.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write one self-contained page: scores, lengths, diversity, new captions, the twenty best and worst photos",
    )
    scores.add_argument(
        "--card",
        type=Path,
        metavar="FILE.md",
        help="write the model's card with these scores, their intervals, and twenty captions drawn at random; the model folder's README.md "
        "takes the place of the card that it has",
    )


def run(args: argparse.Namespace) -> int:
    """Score a model on a split of a data set, or captions from a file; captions are written before any score is computed.

    Returns:
        0 if every photo has one caption, every caption a photo, and every metric worked, else 1
    """
    from showattend.cli.scoring import ScoringInputs, compare_scores, compute_scores
    from showattend.cli.scoring_inputs import make_optional_scorers, read_complete_results, read_scoring_references
    from showattend.cli.scoring_output import print_comparison, print_scores, write_card, write_report_page, write_scores
    from showattend.data.results import read_results
    from showattend.metrics.document_frequencies import read_document_frequencies

    _check_sources(args)
    tokenizer = _tokenizer_from_args(args)
    _check_outputs(args)
    frequencies = read_document_frequencies(args.idf, tokenizer) if args.idf else None
    references, training = read_scoring_references(args.references, args.root, args.layout, args.split)
    other = read_complete_results(args.compare, references) if args.compare else None
    _print_lines([*(other.problems.values() if other else ()), *references.notes])
    optional = make_optional_scorers(args.official, args.spice_models)
    _print_lines(optional.reasons)
    results, search, model = (read_results(args.results, references), "", None) if args.results else _caption_photos(args, references)
    _print_lines([results.note] if results.note else [])
    inputs = ScoringInputs(_title(args), references, results, tokenizer, optional, search, training, frequencies)
    _report_problems(inputs, strict=args.strict)
    failed = len(optional.reasons)
    scores = compute_scores(inputs)
    _print_lines([*optional.reasons[failed:], *scores.statistics.undefined.values()])
    print_scores(inputs.title, scores)
    if args.out:
        write_scores(args.out, inputs, scores)
    if args.report:
        write_report_page(args.report, inputs, scores)
    if args.card and model:
        write_card(args.card, model, inputs, scores)
    if other:
        print_comparison(compare_scores(inputs, scores, other), str(args.compare))
    return 1 if results.problems or optional.reasons else 0


def _check_sources(args: argparse.Namespace) -> None:
    """Captions from one place, references from one place.

    Raises:
        InputError: they come from two, or from none.
    """
    if args.results and model_folders_from_args(args):
        raise InputError("--results are captions already: leave out --model and --ensemble, or --results")
    if args.results:
        _check_no_generation_options(args)
    if args.resume and (args.results or not args.out):
        raise InputError("--resume goes on from the captions of a model in --out DIR: give --model and --out, or leave it out")
    if args.card and len(model_folders_from_args(args)) != 1:
        raise InputError("--card is the card of one model: give --model, and neither --ensemble nor --results")
    if args.references and not args.results:
        raise InputError("--references are for captions from --results: a model needs photos, give --data.root DIR")
    if bool(args.root) == bool(args.references):
        choice = "leave out one of the two" if args.root else "give --data.root DIR, or --results FILE --references FILE"
        raise InputError(f"references come from --data.root or from --references: {choice}")


def _check_no_generation_options(args: argparse.Namespace) -> None:
    given = [*given_generation_options(args), *(name for name in ("attention_mode", "device", "precision", "fuse") if getattr(args, name))]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"--results are captions already, and nothing is generated: leave out {options}")


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse what cannot be written before the work rather than after it."""
    if args.out:
        check_writable(args.out / RESULTS, [args.compare] if args.compare else [])
    for path in filter(None, (args.report, args.card)):
        check_writable(path, inputs_from_args(args))


def _tokenizer_from_args(args: argparse.Namespace) -> str:
    """A name of TOKENIZERS: by default the words of training with a model, and those of the official scorers with `--results`."""
    from showattend.cli.scoring import TOKENIZERS
    from showattend.pretrained import read_word_tokenizer

    folders = model_folders_from_args(args)
    tokenizer = args.tokenizer or ("ptb" if args.results or not folders else read_word_tokenizer(folders[0]))
    if tokenizer not in TOKENIZERS:
        raise unknown_name("tokenizer", tokenizer, TOKENIZERS)
    return str(tokenizer)


def _caption_photos(args: argparse.Namespace, references: References) -> tuple[Results, str, Pretrained]:
    """A model's captions of all photos, kept in results.json while they are generated, how they were generated, and the first model."""
    from showattend.cli.caption_files import CaptionFiles
    from showattend.data.results import check_results, read_rows
    from showattend.inference.caption_formats import ResultsFormat

    captioner = captioner_from_args(args)
    config = generation_config_from_args(captioner, args)
    search = str(config) if captioner.precision == "32" else f"{config}, precision {captioner.precision}"
    search += f", attention {args.attention_mode}" if args.attention_mode else ""
    source = _source(args, search) if args.out else ""
    ids: dict[Path, list[PhotoId]] = {}
    for photo_id, path in references.files.items():
        ids.setdefault(path, []).append(photo_id)
    targets = {"results": args.out / RESULTS} if args.out else {}
    with CaptionFiles(targets, formats={"results": ResultsFormat(ids)}, resume=args.resume) as files:
        remaining = files.remaining(list(ids))
        rows = read_rows(files.outputs[0].file.partial) if len(remaining) < len(ids) else []
        if rows:
            print_error(f"{len(ids) - len(remaining)} of {len(ids)} photos are in {files.names()} already")
        captioner.expect(len(ids), config)
        captions = captioner.caption_files(remaining, config, batch_size=args.batch_size, workers=args.workers)
        for path, caption in _keep(captions, len(remaining), files, begin=args.out if not rows else None):
            if source:  # not before: until the first caption the folder holds what an earlier run has found
                write_text(args.out / SOURCE, source)
                source = ""
            rows += [(photo_id, caption) for photo_id in ids[path]]
        if not rows:
            raise InputError(f"none of the {len(ids)} photos of the split '{args.split or 'val'}' can be read")
    return check_results(rows, references, "the model"), search, captioner.model


def _source(args: argparse.Namespace, search: str) -> str:
    """Which models the captions come from and how, as it is written beside them; compared with what an interrupted run has written.

    Raises:
        InputError: the captions to go on from are others.
    """
    from showattend.cli.growing_file import partial_path
    from showattend.data.json_files import read_json
    from showattend.model_files import CONFIG
    from showattend.pretrained import find_model_folder

    path, results = args.out / SOURCE, args.out / RESULTS
    source = {"models": [sha256_of(find_model_folder(folder) / CONFIG) for folder in model_folders_from_args(args)], "search": search}
    if args.resume and (results.exists() or partial_path(results).exists()):
        if not path.exists():
            raise InputError(
                f"{args.out} has captions and no {SOURCE}, so their model is not known: leave out --resume, or give another --out"
            )
        found = read_json(path)
        if found != source:
            how = f" ({found['search']})" if isinstance(found, dict) and "search" in found else ""
            raise InputError(f"{args.out} holds captions of another model or search{how}: leave out --resume, or give another --out")
    return json.dumps(source) + "\n"


def _keep(
    captions: Iterable[tuple[Path, Caption | Failure]], count: int, files: CaptionFiles, begin: Path | None
) -> Iterator[tuple[Path, str]]:
    """Write each caption to the file as it comes; photos that cannot be read are printed.

    Args:
        begin: the folder of a run that begins anew; its first caption removes what would say of an earlier run's captions whose they are
    """
    from tqdm import tqdm

    from showattend.inference import Failure

    for path, result in tqdm(captions, "Captioning", count, unit=" photos"):
        if isinstance(result, Failure):
            print_error(f"skipped {result.reason}")
        else:
            if begin:
                _remove_results(begin)
                begin = None
            files.add(path, result)
            yield path, str(result)


def _remove_results(folder: Path) -> None:
    with writable(folder):
        for name in (SOURCE, "metrics.json", "photos.csv"):
            (folder / name).unlink(missing_ok=True)


def _title(args: argparse.Namespace) -> str:
    """The title of the report and the card: whose captions, of which photos; others see it, so it names no folders of this machine."""
    whose = args.results.name if args.results else " + ".join(map(_last_two, model_folders_from_args(args)))
    return f"{whose} on {args.references.name if args.references else f'{args.root.resolve().name}, split ' + (args.split or 'val')}"


def _last_two(folder: str | Path) -> str:
    """RUN/model of a path, the name of a model on the Hub."""
    path = Path(folder)
    return "/".join((path.resolve() if path.exists() else path).parts[-2:])


def _report_problems(inputs: ScoringInputs, *, strict: bool) -> None:
    """Print what is wrong with the captions.

    Raises:
        InputError: something is, with `--strict`; or no caption has references.
    """
    problems = inputs.results.problems
    _print_lines(problems.values())
    if problems and strict:
        raise InputError(f"nothing is scored, for the results are not sound: {', '.join(problems)} (without --strict the rest is scored)")
    if not inputs.results.captions:
        raise InputError(f"{inputs.title}: no photo has both a caption and references")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print_error(line)
