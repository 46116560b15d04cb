"""The demonstration on pictures of shapes: draw, train, caption, score against the known scenes, plot the attention."""

import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from showattend.console import print_error
from showattend.data.captions import Photo, read_captions
from showattend.data.images import open_photo
from showattend.data.shapes import Scene, describe_scene, read_scenes, write_shapes
from showattend.files import write_text
from showattend.grounding import SceneScores, compare_with_scenes
from showattend.inference import Caption, Captioner, Failure
from showattend.metrics import bleu
from showattend.training.command import train
from showattend.training.runs import make_run_folder
from showattend.visualize import attention_figure, read_run, save_figure, write_run_report

CONFIG = Path(__file__).with_name("configs") / "shapes.yaml"
FIGURES = 4
CAPTION_SOURCES = {
    "model": "the model",
    "oracle": "an oracle (knows the scene, same grammar)",
    "blind": "blind (the most common caption for all)",
}
INTRODUCTION = """
Every picture shows two to four coloured shapes, and five captions describe their positions. A small CNN, the
attention and an LSTM are trained together on pictures and captions only: no labels and no boxes of the shapes.
"""


def run_demo(out: Path, *, seed: int = 0) -> None:
    """Run all steps in one fresh folder, and print each.

    Raises:
        InputError: the folder cannot be written to.
    """
    started = time.monotonic()
    out = make_run_folder(out)
    print(f"1. Drawing shapes into {out / 'shapes'}\n{INTRODUCTION}")
    root = write_shapes(out / "shapes", seed=seed)
    print("\n2. Training: the loss compares each predicted word with the next word of the caption\n")
    arguments = ("--config", CONFIG, "--data.root", root, "--data.cache_dir", out / "cache", "--runs", out, "--name", "run")
    if status := train(["fit", *map(str, arguments), "--seed_everything", str(seed)]):
        print_error(f"showattend demo itself begins anew, in another folder: {out} may be deleted")
        raise SystemExit(status)  # the training has said why
    print("\n3. Captioning the test pictures, none of which was trained on\n")
    captioner = Captioner.from_pretrained(out / "run" / "model")
    scenes = read_scenes(root)
    data = read_captions(root)
    photos = data.split("test")
    captions = caption_all(captioner, photos)
    bleu_scores = _print_scores(captions, photos, data.split("train"), scenes, seed)
    scene_scores = compare_with_scenes(captions, scenes)
    _print_scene_scores(scene_scores)
    metrics = {**bleu_scores, "statements": scene_scores.statements, "pointing": scene_scores.pointing}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    print("\n4. Attention maps\n")
    for photo in photos[:FIGURES]:
        figure = out / "figures" / f"{photo.path.stem}.png"
        save_figure(attention_figure(open_photo(photo.path)[0], captions[str(photo.id)]), figure)
        print(f"   {figure}  {captions[str(photo.id)]}")
    write_run_report(out / "report.html", read_run(out / "run"))
    _print_end(out, photos[FIGURES].path, time.monotonic() - started)


def caption_all(captioner: Captioner, photos: list[Photo]) -> dict[str, Caption]:
    """The caption of each picture by its id."""
    captions = {}
    for photo, (_, result) in zip(photos, captioner.caption_files([photo.path for photo in photos], batch_size=100), strict=True):
        assert not isinstance(result, Failure), result.reason
        captions[str(photo.id)] = result
    return captions


def _print_scores(
    captions: Mapping[str, Caption], photos: list[Photo], train_photos: list[Photo], scenes: Mapping[str, Scene], seed: int
) -> dict[str, dict[str, float]]:
    """BLEU of the model, of an oracle that knows the scene, and of one caption for every picture."""
    references = {str(photo.id): [caption.split() for caption in photo.captions] for photo in photos}
    rng = random.Random(f"oracle {seed}")
    common, _ = Counter(caption for photo in train_photos for caption in photo.captions).most_common(1)[0]
    hypotheses = {
        "model": {name: caption.words for name, caption in captions.items()},
        "oracle": {name: describe_scene(scenes[name], rng, 1)[0].words for name in references},
        "blind": {name: common.split() for name in references},
    }
    scores = {source: bleu(captions_of, references) for source, captions_of in hypotheses.items()}
    print(f"   {'':42} BLEU-1  BLEU-2  BLEU-3  BLEU-4")
    for source, values in scores.items():
        print(f"   {CAPTION_SOURCES[source]:42}" + "".join(f"{value:8.3f}" for value in values.values()))
    return scores


def _print_scene_scores(scores: SceneScores) -> None:
    sorts = ", ".join(f"{sort} {share:.0%}" for sort, share in sorted(scores.statements.items()) if sort != "all")
    print(f"\n   statements that are true of the picture: {scores.statements.get('all', 0):.1%} ({sorts})")
    print(f"   nouns with the peak of alpha inside their shape: {scores.pointing:.1%}")


def _print_end(out: Path, photo: Path, seconds: float) -> None:
    model = out / "run" / "model"
    print(f"""
Done in {seconds / 60:.1f} minutes. The folder {out} holds figures/, report.html about the training,
the model in run/model/ and the pictures in shapes/.
Try next (in a clone, showattend is .venv/bin/showattend):
  showattend app --model {model} --examples {out / "shapes" / "images"}    # a page in the browser: touch a word (extra: app)
  showattend attend {photo} --model {model} --out attention.html
  showattend caption {out / "shapes" / "images"} --model {model} --csv captions.csv
  showattend fit --config shapes --data.root {out / "shapes"} --model.decoder.cell gru
For your own photos, `showattend data --layouts` lists the layouts of data sets, and `--config flickr8k` is a recipe.""")
