"""The embedded data set on disk: pictures, and a JSON in Karpathy's layout with the scenes and the boxes of noun phrases."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from showattend.data.json_files import check_schema, read_json
from showattend.data.shapes.grammar import Description, describe_scene
from showattend.data.shapes.languages import ENGLISH, Language, find_language
from showattend.data.shapes.scene import SIZE, Scene, draw_scene, random_scene
from showattend.errors import InputError
from showattend.files import writable, write_text

INDEX_FILE = "dataset_shapes.json"
PHOTOS = {"train": 4000, "val": 200, "test": 400}


class _Picture(msgspec.Struct):
    filename: str
    scene: Scene


class _Index(msgspec.Struct):
    """What is read of the index."""

    images: list[_Picture]


def write_shapes(folder: Path, *, seed: int = 0, photos: dict[str, int] | None = None, language: str = ENGLISH) -> Path:
    """Draw and describe the data set; the same seed gives the same files. A folder that holds it already is left as it is.

    Args:
        folder: the pictures go to `images` in it
        photos: the number of pictures of each split
        language: of the captions, a name of LANGUAGES

    Returns:
        the folder

    Raises:
        InputError: an unknown language; the folder holds other shapes, other files or a damaged index, or cannot be written to.
    """
    photos, grammar = photos or PHOTOS, find_language(language)
    settings = {"seed": seed, "photos": photos, "size": SIZE, **({"language": language} if language != ENGLISH else {})}
    index = folder / INDEX_FILE
    if index.exists():
        if _settings(index) != settings:
            raise InputError(f"{folder} holds shapes of another seed, number or language: choose another folder")
        return folder
    if folder.is_dir() and any(entry.name != "images" for entry in folder.iterdir()):
        raise InputError(f"{folder} holds other files: choose another folder, which is made where there is none")
    with writable(folder):
        (folder / "images").mkdir(parents=True, exist_ok=True)
    entries = []
    for name, split, scene, rng in tqdm(_scenes(seed, photos), desc="Drawing shapes", total=sum(photos.values()), unit=" pictures"):
        with writable(folder):
            draw_scene(scene, rng).save(folder / "images" / name)
        entries.append(_entry(name, split, scene, describe_scene(scene, rng, language=grammar), grammar))
    # The index comes last: a folder with an index is complete.
    write_text(index, json.dumps({"dataset": "shapes", "made": settings, "images": entries}))
    return folder


def _settings(index: Path) -> object:
    """The settings that a written data set was made with."""
    content = read_json(index)
    if not isinstance(content, dict):
        raise InputError(f"{index} is no index of shapes: delete the folder and write it anew")
    return content.get("made")


def _scenes(seed: int, photos: dict[str, int]) -> Iterator[tuple[str, str, Scene, random.Random]]:
    """Names, splits and scenes, each with an rng of its own; all scenes differ, so that no two splits share a picture."""
    rng = random.Random(seed)
    known: set[Scene] = set()
    for split, count in photos.items():
        for number in range(count):
            while (scene := random_scene(rng)) in known:
                pass
            known.add(scene)
            yield f"{split}_{number:05}.png", split, scene, random.Random(rng.getrandbits(64))


def _entry(name: str, split: str, scene: Scene, descriptions: list[Description], language: Language) -> dict[str, Any]:
    sentences = [
        {
            "raw": language.join(description.words),
            "tokens": [word.lower() for word in description.words],
            "phrases": [{"first": phrase.first, "last": phrase.last, "box": phrase.shape.box} for phrase in description.phrases],
        }
        for description in descriptions
    ]
    stored_scene = {"shapes": [asdict(shape) for shape in scene.shapes], "ground": scene.ground, "texture": scene.texture}
    return {"filename": name, "filepath": "images", "split": split, "scene": stored_scene, "sentences": sentences}


def read_language(folder: Path) -> str:
    """The language of a written data set's captions."""
    settings = _settings(folder / INDEX_FILE)
    return str(settings.get("language", ENGLISH)) if isinstance(settings, dict) else ENGLISH


def read_scenes(folder: Path) -> dict[str, Scene]:
    """The scenes of a written data set, by the picture's file name.

    Raises:
        InputError: the index has none, or they are damaged.
    """
    index = folder / INDEX_FILE
    content = check_schema(read_json(index), _Index, f"{index} holds no scenes: delete the folder and write it anew")
    return {image.filename: image.scene for image in content.images}
