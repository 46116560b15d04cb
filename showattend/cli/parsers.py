"""What each command takes on its line; nothing heavy is imported here."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

from showattend.cli.groups import add_data, add_model, add_models, add_search, add_speed, count
from showattend.version import __version__

EPILOG = """\
first steps:
  showattend demo                                        train on pictures of shapes, in minutes, and look
  showattend fit --config configs/flickr8k.yaml --data.root DIR
  showattend caption photos/ --model runs/flickr8k/model
  showattend attend photo.jpg --model runs/flickr8k/model --out photo-attention.png
  showattend score photo.jpg "a dog runs on the beach" --model runs/flickr8k/model
"""
TRAINING = {
    "fit": "train a captioner (options: showattend fit --help)",
    "refine": "go on with a finished model, on CIDEr-D itself (self-critical training)",
    "validate": "free-running BLEU of a checkpoint on the validation photos",
    "test": "free-running BLEU of a checkpoint on the test photos",
}


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="showattend",
        description="Caption photos word by word, and see where the model looked for each word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"showattend {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error (anywhere on the line)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_shapes(commands)
    for name, text in TRAINING.items():
        commands.add_parser(name, help=text, add_help=False)
    _add_caption(commands)
    _add_attend(commands)
    _add_score(commands)
    _add_evaluate(commands)
    _add_ground(commands)
    _add_cells(commands)
    return parser


Commands = argparse._SubParsersAction  # argparse gives it no public name


def _add_demo(commands: "Commands[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser("demo", help="draw shapes, train on them, score, caption and show: minutes on a laptop, no network")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for all that it makes (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="another seed: other pictures, other weights (default: %(default)s)")
    demo.set_defaults(run=_demo)


def _add_shapes(commands: "Commands[argparse.ArgumentParser]") -> None:
    shapes = commands.add_parser("shapes", help="write the embedded data set of coloured shapes into a folder")
    shapes.add_argument("folder", type=Path, help="where to")
    shapes.add_argument("--seed", type=int, default=0, help="another seed draws other pictures (default: %(default)s)")
    shapes.set_defaults(run=_shapes)


def _add_caption(commands: "Commands[argparse.ArgumentParser]") -> None:
    caption = commands.add_parser(
        "caption",
        help="caption photos, folders, globs",
        description="Print one line for each photo. A photo that cannot be read is reported and skipped, and the exit status is then 1.",
    )
    caption.add_argument("photos", nargs="+", metavar="PATH", help="photo, folder (searched to the bottom) or glob")
    add_models(caption)
    caption.add_argument("--num-captions", type=int, metavar="N", help="captions for each photo, the best first, with their scores")
    caption.add_argument("--json", type=Path, metavar="FILE", help="write captions with words, scores and alphas' grid as JSON")
    caption.add_argument("--csv", type=Path, metavar="FILE", help="write file, caption and score as CSV")
    caption.add_argument("--coco", type=Path, metavar="FILE", help="write the result format of the COCO captions server")
    add_speed(caption)
    add_search(caption)
    caption.set_defaults(run=_command("caption"))


def _add_attend(commands: "Commands[argparse.ArgumentParser]") -> None:
    attend = commands.add_parser("attend", help="draw where the model looked for each word of a photo's caption")
    attend.add_argument("photo", type=Path, help="a photo")
    add_models(attend)
    attend.add_argument("--out", type=Path, required=True, metavar="FILE", help="figure to write: .png, .jpg, .pdf, .svg, .webp")
    add_search(attend)
    attend.set_defaults(run=_command("attend"))


def _add_score(commands: "Commands[argparse.ArgumentParser]") -> None:
    score = commands.add_parser(
        "score",
        help="how probable is a given caption, and where would the model look if it said it?",
        description="Print the log-probability (nats) of each word, given the photo and the words before it, and of the whole caption.",
    )
    score.add_argument("photo", type=Path, help="a photo")
    score.add_argument("captions", nargs="+", metavar="CAPTION", help='in quotes, such as "a dog runs on the beach"; several are compared')
    add_model(score)
    score.add_argument("--out", type=Path, metavar="FILE", help="figure of where it would look: .png, .jpg, .pdf, .svg, .webp")
    score.set_defaults(run=_command("score"))


def _add_evaluate(commands: "Commands[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score captions, a model's or anybody's: BLEU-1..4, ROUGE-L, CIDEr-D",
        description="Score a model's captions of a data set (--model, --data.root), or captions that are there already, without a model "
        "(--results, with --references or --data.root). Each score comes with a 95% bootstrap interval over the photos, all of them with "
        "a signature: a line that says how they were computed.",
    )
    add_models(evaluate)
    add_data(evaluate, required=False)
    _add_files(evaluate)
    _add_scores(evaluate)
    add_speed(evaluate)
    add_search(evaluate)
    evaluate.set_defaults(run=_command("evaluate"))


def _add_files(evaluate: argparse.ArgumentParser) -> None:
    files = evaluate.add_argument_group("captions that are there already")
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
        "splits those of --split, else all photos. No photo needs to be there",
    )


def _add_scores(evaluate: argparse.ArgumentParser) -> None:
    scores = evaluate.add_argument_group("what is scored, and where the scores go")
    scores.add_argument(
        "--strict", action="store_true", help="a photo without caption or with two, an unknown id, an empty caption: status 2 and no score"
    )
    scores.add_argument(
        "--tokenizer",
        help="nltk, the words of training (default with a model), or ptb, the official scorers' words (default with --results): "
        "take ptb to compare with published numbers",
    )
    scores.add_argument(
        "--official",
        nargs="*",
        choices=("meteor", "spice"),
        metavar="NAME",
        help="meteor (the default) and spice too, by their authors' own Java on PTB tokens: pip install 'showattend[coco]' and a Java, "
        "8 to 14 for spice. Tried before the work; where one cannot be used a line says why, the others come, and the status is 1",
    )
    scores.add_argument(
        "--spice-models",
        type=Path,
        metavar="DIR",
        help="folder of Stanford CoreNLP 3.6.0's two jars, for spice (default: pycocoevalcap's own, if it has them); nothing is downloaded",
    )
    scores.add_argument("--compare", type=Path, metavar="FILE", help="another system's captions of the same photos, as --out writes them")
    scores.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write metrics.json, photos.csv with each photo's scores, and a model's captions as results.json (COCO's format)",
    )
    scores.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write one page that needs nothing else: scores, lengths, variety, new captions, the twenty best and worst photos",
    )


def _add_ground(commands: "Commands[argparse.ArgumentParser]") -> None:
    ground = commands.add_parser(
        "ground",
        help="does it look at what it names? alpha against boxes, and words against what alpha looked at",
        description="For each word that names an object: does alpha's peak lie in the object's box (pointing), how much of alpha does, and "
        "how well does the region that it lights up overlap the box, beside what chance and looking at the middle reach. Then, "
        "faithfulness: how the word's probability falls when the locations with the largest alpha are hidden, against random ones.",
    )
    add_model(ground)
    add_data(ground)
    ground.add_argument("--boxes", default="auto", help="auto, or whose boxes: shapes, entities, coco (default: %(default)s)")
    ground.add_argument(
        "--captions",
        choices=("model", "references"),
        default="model",
        help="whose words: what the model says, or the data set's captions, the same for every model (default: %(default)s)",
    )
    ground.add_argument(
        "--faithfulness", type=count(0), default=200, metavar="N", help="words to hide photos for, drawn by --seed; 0: none (default: 200)"
    )
    ground.add_argument("--plot", type=Path, metavar="FILE", help="draw the deletion and insertion curves")
    ground.add_argument("--out", type=Path, metavar="DIR", help="write grounding.json, faithfulness.json, and mentions.csv with every word")
    add_speed(ground)
    add_search(ground)
    ground.set_defaults(run=_command("ground"))


def _add_cells(commands: "Commands[argparse.ArgumentParser]") -> None:
    cells = commands.add_parser(
        "cells",
        help="list the recurrent cells; one cell's equations; its gates over a caption",
        description="Without a name: a table of all cells. With one: its equations, and with --plot what its gates did at each word.",
    )
    cells.add_argument("cell", nargs="?", metavar="NAME", help="a cell of the table, or my_package.cells:MyCell")
    cells.add_argument("--input-size", type=count(1), default=1024, metavar="I", help="embedding and context (default: %(default)s)")
    cells.add_argument("--hidden-size", type=count(1), default=512, metavar="H", help="units (default: %(default)s)")
    cells.add_argument("--match", metavar="NAME", help="the hidden size that gives each cell as many parameters as this one has at H")
    cells.add_argument("--json", action="store_true", help="print a list of objects for programs")
    cells.add_argument("--plot", type=Path, metavar="FILE", help="draw the gates over the words of a caption; needs --model and --photo")
    cells.add_argument("--photo", type=Path, metavar="PATH", help="the photo to caption for --plot")
    add_model(cells, required=False)
    add_search(cells)
    cells.set_defaults(run=_command("cells"))


def _demo(args: argparse.Namespace) -> int:
    from showattend.demo import run_demo

    run_demo(args.out, seed=args.seed)
    return 0


def _shapes(args: argparse.Namespace) -> int:
    from showattend.data.shapes import write_shapes

    print(f"shapes in {write_shapes(args.folder, seed=args.seed)}")
    return 0


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """The function of a command, imported when it runs."""

    def run(args: argparse.Namespace) -> int:
        function: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(f"showattend.cli.{name}"), name)
        return function(args)

    return run
