"""The embedded data set on disk: pictures, and a JSON in Karpathy's layout that also says what is where and which words name it."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from showattend.data.shapes.grammar import Utterance, describe
from showattend.data.shapes.scene import SIZE, Scene, Shape, draw_scene, random_scene
from showattend.errors import InputError
from showattend.files import writable, write_text

INDEX = "dataset_shapes.json"
PHOTOS = {"train": 4000, "val": 200, "test": 400}


def write_shapes(folder: Path, *, seed: int = 0, photos: dict[str, int] | None = None) -> Path:
    """Draw and describe the data set; the same seed gives the same files. Nothing is done where it lies already.

    Args:
        folder: where to; the pictures go to `images` in it
        photos: pictures in each split

    Returns:
        the folder

    Raises:
        InputError: the folder holds other shapes, or cannot be written to.
    """
    photos = photos or PHOTOS
    made = {"seed": seed, "photos": photos, "size": SIZE}
    index = folder / INDEX
    if index.exists():
        if json.loads(index.read_text())["made"] != made:
            raise InputError(f"{folder} holds shapes of another seed or number: choose another folder")
        return folder
    with writable(folder):
        (folder / "images").mkdir(parents=True, exist_ok=True)
    entries = []
    for name, split, scene, chance in tqdm(_scenes(seed, photos), desc="Drawing shapes", total=sum(photos.values()), unit=" pictures"):
        with writable(folder):
            draw_scene(scene, chance).save(folder / "images" / name)
        entries.append(_entry(name, split, scene, describe(scene, chance)))
    # The index comes last: a folder with an index is complete.
    write_text(index, json.dumps({"dataset": "shapes", "made": made, "images": entries}))
    return folder


def _scenes(seed: int, photos: dict[str, int]) -> Iterator[tuple[str, str, Scene, random.Random]]:
    """Names, splits and scenes, each with its own chance; no arrangement of looks and cells comes twice, so no split shares a picture."""
    chance = random.Random(seed)
    seen: set[Scene] = set()
    for split, count in photos.items():
        for number in range(count):
            while (scene := random_scene(chance)) in seen:
                pass
            seen.add(scene)
            yield f"{split}_{number:05}.png", split, scene, random.Random(chance.getrandbits(64))


def _entry(name: str, split: str, scene: Scene, said: list[Utterance]) -> dict[str, Any]:
    sentences = [
        {
            "raw": " ".join(utterance.words),
            "tokens": utterance.words,
            "phrases": [{"first": phrase.first, "last": phrase.last, "box": phrase.shape.box} for phrase in utterance.phrases],
        }
        for utterance in said
    ]
    scene_ = {"shapes": [asdict(shape) for shape in scene.shapes], "ground": scene.ground, "texture": scene.texture}
    return {"filename": name, "filepath": "images", "split": split, "scene": scene_, "sentences": sentences}


def read_scenes(folder: Path) -> dict[str, Scene]:
    """The scenes of a written data set, by the picture's file name."""
    images = json.loads((folder / INDEX).read_text())["images"]
    return {
        image["filename"]: Scene(
            tuple(Shape(**shape) for shape in image["scene"]["shapes"]),
            tuple(image["scene"]["ground"]),
            image["scene"]["texture"],
        )
        for image in images
    }
