"""The whole way on pictures of shapes: draw, train, score against what can be known, caption, show."""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from showattend.data.boxes import shape_words
from showattend.data.captions import Photo, read_captions
from showattend.data.images import open_photo
from showattend.data.shapes import Scene, describe, parse_caption, read_scenes, write_shapes
from showattend.files import write_text
from showattend.grounding import points_at
from showattend.inference import Caption, Captioner, Failure
from showattend.metrics import bleu
from showattend.training.command import train
from showattend.training.runs import make_run_folder
from showattend.visualize import attention_figure, save_figure

CONFIG = Path(__file__).with_name("configs") / "shapes.yaml"
SHOWN = 4
SPEAKERS = {
    "model": "the model",
    "oracle": "an oracle (knows the scene, same grammar)",
    "blind": "blind (the most common caption for all)",
}
PREVIEW = """
Every picture shows two to four coloured shapes, and five sentences say what is where. From pictures and
sentences alone, a small convolutional network learns to see, and an LSTM to speak and, before each word,
to choose where to look. Nobody tells it what a star is, or where.
"""


class Truth(NamedTuple):
    """How well captions fit the scenes, each a share from 0 to 1."""

    statements: dict[str, float]  # by sort (kind, color, size, relation, count), and `all`
    pointing: float  # nouns for which alpha's peak lies in the box of the shape that they name


def run_demo(out: Path, *, seed: int = 0) -> None:
    """Do all of it in one fresh folder, saying what happens.

    Raises:
        InputError: the folder cannot be written to.
    """
    started = time.monotonic()
    out = make_run_folder(out)
    print(f"1. Drawing shapes into {out / 'shapes'}\n{PREVIEW}")
    root = write_shapes(out / "shapes", seed=seed)
    print("\n2. Training: each step compares what it would say next with what people said\n")
    arguments = ("--config", CONFIG, "--data.root", root, "--data.cache_dir", out / "cache", "--runs", out, "--name", "run")
    train(["fit", *map(str, arguments), "--seed_everything", str(seed)])
    print("\n3. Captioning the test pictures, which it has never seen, word by word with nothing given\n")
    captioner = Captioner.from_pretrained(out / "run" / "model")
    scenes = read_scenes(root)
    data = read_captions(root)
    photos = data.split("test")
    captions = caption_all(captioner, photos)
    scores = _print_scores(captions, photos, data.split("train"), scenes, seed)
    truth = check(captions, scenes)
    _print_truth(truth)
    metrics = {**scores, "statements": truth.statements, "pointing": truth.pointing}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    print("\n4. Where it looked\n")
    for photo in photos[:SHOWN]:
        figure = out / "figures" / f"{photo.path.stem}.png"
        save_figure(attention_figure(open_photo(photo.path)[0], captions[str(photo.id)]), figure)
        print(f"   {figure}  {captions[str(photo.id)]}")
    _print_end(out, photos[SHOWN].path, time.monotonic() - started)


def caption_all(captioner: Captioner, photos: list[Photo]) -> dict[str, Caption]:
    """The caption of each picture by its id."""
    found = {}
    for photo, (_, result) in zip(photos, captioner.caption_files([photo.path for photo in photos], batch_size=100), strict=True):
        assert not isinstance(result, Failure), result.reason
        found[str(photo.id)] = result
    return found


def check(captions: Mapping[str, Caption], scenes: Mapping[str, Scene]) -> Truth:
    """Hold captions and alphas against the scenes that they are about; a noun for what is not there counts as a miss."""
    truths: dict[str, list[bool]] = defaultdict(list)
    hits: list[float] = []
    for name, caption in captions.items():
        parsed = parse_caption(caption.words, scenes[name])
        for sort, true in parsed.statements:
            truths[sort].append(true)
            truths["all"].append(true)
        hits += [points_at(caption, word) for word in shape_words(parsed)]
    return Truth({sort: sum(true) / len(true) for sort, true in truths.items()}, sum(hits) / max(1, len(hits)))


def _print_scores(
    captions: Mapping[str, Caption], photos: list[Photo], train_photos: list[Photo], scenes: Mapping[str, Scene], seed: int
) -> dict[str, dict[str, float]]:
    """BLEU of the model, of an oracle that knows the scene, and of one caption for every picture."""
    references = {str(photo.id): [caption.split() for caption in photo.captions] for photo in photos}
    chance = random.Random(f"oracle {seed}")
    common, _ = Counter(caption for photo in train_photos for caption in photo.captions).most_common(1)[0]
    decoders = {
        "model": {name: caption.words for name, caption in captions.items()},
        "oracle": {name: describe(scenes[name], chance, 1)[0].words for name in references},
        "blind": {name: common.split() for name in references},
    }
    scores = {inference_decoder: bleu(said, references) for inference_decoder, said in decoders.items()}
    print(f"   {'':42} BLEU-1  BLEU-2  BLEU-3  BLEU-4")
    for inference_decoder, values in scores.items():
        print(f"   {SPEAKERS[inference_decoder]:42}" + "".join(f"{value:8.3f}" for value in values.values()))
    return scores


def _print_truth(truth: Truth) -> None:
    sorts = ", ".join(f"{sort} {share:.0%}" for sort, share in sorted(truth.statements.items()) if sort != "all")
    print(f"\n   statements that are true of the picture: {truth.statements.get('all', 0):.1%} ({sorts})")
    print(f"   nouns at which it looked while it said them: {truth.pointing:.1%} (peak of alpha inside the shape's box)")


def _print_end(out: Path, photo: Path, seconds: float) -> None:
    model = out / "run" / "model"
    print(f"""
Done in {seconds / 60:.1f} minutes. Everything lies in {out}: figures/ to look at, run/model/ the model, shapes/ the pictures.
Try next (in a clone, showattend is .venv/bin/showattend):
  showattend attend {photo} --model {model} --out looked.png
  showattend caption {out / "shapes" / "images"} --model {model} --csv captions.csv
  showattend fit --config configs/shapes.yaml --data.root {out / "shapes"} --model.decoder.cell gru
Then your own photos: data/README.md says how they must lie, configs/flickr8k.yaml is the recipe.""")
