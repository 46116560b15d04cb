"""Compare kinds of attention: train captioners on `shapes` that differ in their attention only, with one budget.

    python scripts/compare_attentions.py --out runs/attentions --seeds 0 1 2

Prints a Markdown table of test BLEU-4, CIDEr-D, the share of statements that are true of the picture, and the share of nouns
at which alpha's peak lies in the box of the shape that they name; mean and standard deviation over the seeds of training. The
pictures are the same for all. The rows are in results.csv, and runs that it holds already are not trained again.
"""

import argparse
import csv
import statistics
from pathlib import Path

from showattend.data.captions import read_captions
from showattend.data.shapes import read_scenes, write_shapes
from showattend.demo import caption_all
from showattend.grounding import compare_with_scenes
from showattend.inference import Captioner
from showattend.metrics import corpus_scores
from showattend.training.command import train

CONFIG = Path(__file__).parents[1] / "configs" / "shapes.yaml"
VARIANTS = {
    "soft": ["--model.decoder.attention", "soft"],
    "adaptive": ["--model.decoder.attention", "adaptive"],
    "hard": ["--model.decoder.attention", "hard"],
    "hard, leave-one-out": ["--model.decoder.attention", "hard", "--model.reinforce", "{baseline: leave_one_out}"],
    "mean": ["--model.decoder.attention", "mean", "--model.decoder.attention_options", "null"],
}
COLUMNS = ("bleu4", "cider_d", "true", "pointing")


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/attentions"), help="folder for pictures, runs and results (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training (default: 0 1 2)")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME", help=f"of {', '.join(VARIANTS)}")
    args = parser.parse_args()
    root = args.out / "shapes"
    if not root.exists():
        write_shapes(root, seed=0)
    results = args.out / "results.csv"
    done = {(row["attention"], int(row["seed"])) for row in _rows(results)}
    for seed in args.seeds:
        for name in args.only:
            if (name, seed) not in done:
                row = {"attention": name, "seed": seed, **_measure(_train(args.out, root, name, seed), root)}
                _append(results, row)
    _print_table(_rows(results))


def _train(out: Path, root: Path, name: str, seed: int) -> Path:
    """The model of one run."""
    run = f"{name.replace(', ', '-')}-{seed}"
    paths = ["--data.root", root, "--data.cache_dir", out / "cache", "--runs", out, "--name", run]
    options = ["--seed_everything", seed, "--trainer.enable_progress_bar", "false", *VARIANTS[name]]
    train(["fit", *map(str, ["--config", CONFIG, *paths, *options])])
    return out / run / "model"


def _measure(model: Path, root: Path) -> dict[str, float]:
    photos = read_captions(root).split("test")
    captions = caption_all(Captioner.from_pretrained(model), photos)
    references = {str(photo.id): [caption.split() for caption in photo.captions] for photo in photos}
    scores = corpus_scores({name: caption.words for name, caption in captions.items()}, references)
    truth = compare_with_scenes(captions, read_scenes(root))
    return {"bleu4": scores["bleu4"], "cider_d": scores["cider_d"], "true": truth.statements.get("all", 0.0), "pointing": truth.pointing}


def _rows(results: Path) -> list[dict[str, str]]:
    if not results.exists():
        return []
    with results.open(newline="") as file:
        return list(csv.DictReader(file))


def _append(results: Path, row: dict[str, object]) -> None:
    """Each row as soon as it is known: the runs before it are not lost if this one is."""
    new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, ["attention", "seed", *COLUMNS])
        if new:
            writer.writeheader()
        writer.writerow(row)


def _print_table(rows: list[dict[str, str]]) -> None:
    print("| attention | seeds | BLEU-4 | CIDEr-D | true statements | pointing |\n|---|---|---|---|---|---|")
    for name in VARIANTS:
        of_name = [row for row in rows if row["attention"] == name]
        if of_name:
            cells = []
            for column in COLUMNS:
                values = [float(row[column]) for row in of_name]
                spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.3f}{spread}")
            print(f"| {name} | {len(of_name)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
