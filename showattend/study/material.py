"""What all runs of a captioning study share: photos with cached features of one frozen encoder, the vocabulary, the scenes of shapes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from showattend.data.batches import CaptionedDataset
from showattend.data.captions import CaptionedPhotos, Photo, read_captions
from showattend.data.shapes import INDEX_FILE, Scene, read_scenes, write_shapes
from showattend.data.transforms import Preprocessing
from showattend.encoders import Encoder, make_encoder
from showattend.errors import InputError
from showattend.features.cache import open_or_build_cache
from showattend.features.manifest import RowOptions, weights_digest
from showattend.files import write_text
from showattend.pretrained.loading import load_pretrained
from showattend.study.config import CaptionStudy
from showattend.vocabulary import Vocabulary, choose_tokenizer, find_tokenizer

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Material:
    """Ready to train on.

    Attributes:
        datasets: by split; captions of the training split are drawn anew at each visit
        encoder: frozen
        digests: the first digits of that of the encoder's weights (trained again on another machine, it is another one), and of the photos'
            names and captions
        scenes: of the embedded shapes, by photo; None for other data
    """

    datasets: dict[str, CaptionedDataset]
    vocabulary: Vocabulary
    encoder: Encoder
    digests: dict[str, str]
    preprocessing: Preprocessing
    scenes: dict[str, Scene] | None


def prepare_material(config: CaptionStudy, folder: Path) -> Material:
    """Draw the shapes, train the encoder and fill the cache, as far as they are not there yet.

    Args:
        folder: of the study

    Raises:
        InputError: the data cannot be read, or the encoder cannot be had.
    """
    root = config.data.root or write_shapes(folder / "shapes", seed=config.seed)
    captioned = read_captions(root, config.data.layout)
    photos = _chosen_photos(captioned, config)
    encoder, preprocessing = _frozen_encoder(config, root, folder)
    captions = [caption for photo in photos["train"] for caption in photo.captions]
    tokenizer, _ = choose_tokenizer(captions)
    vocabulary = Vocabulary.build(map(find_tokenizer(tokenizer), captions), min_count=config.data.min_count, tokenizer=tokenizer)
    datasets = {}
    for split in SPLITS:
        cache = open_or_build_cache(photos[split], RowOptions(preprocessing, encoder), folder / "cache", workers=0)
        captions_per_photo = config.data.captions_per_photo if split == "train" else None
        datasets[split] = CaptionedDataset(photos[split], [cache], vocabulary, captions_per_photo)
    scenes = read_scenes(root) if (root / INDEX_FILE).exists() else None
    digests = {"encoder": weights_digest(encoder), "data": _photos_digest(photos)}
    digests = {name: f"sha256:{digest[:12]}" for name, digest in digests.items()}
    return Material(datasets, vocabulary, encoder, digests, preprocessing, scenes)


def _photos_digest(photos: Mapping[str, list[Photo]]) -> str:
    content = {split: [[photo.path.name, *photo.captions] for photo in found] for split, found in photos.items()}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _chosen_photos(captioned: CaptionedPhotos, config: CaptionStudy) -> dict[str, list[Photo]]:
    photos = {split: captioned.split(split) for split in SPLITS}
    count = config.data.train_photos
    if count is not None and count > len(photos["train"]):
        raise InputError(f"data.train_photos is {count}: the training split has {len(photos['train'])}")
    photos["train"] = photos["train"][:count]
    return photos


def _frozen_encoder(config: CaptionStudy, root: Path, folder: Path) -> tuple[Encoder, Preprocessing]:
    """The encoder in evaluation mode without gradients, and the preprocessing that it takes."""
    if config.encoder_recipe is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # an encoder without weights is the same one in every process
            encoder, preprocessing = make_encoder(config.encoder), config.preprocessing
    else:
        trained = load_pretrained(_trained_recipe(config.encoder_recipe, root, config.seed, folder))
        encoder, preprocessing = trained.network.encoder, trained.preprocessing
    return encoder.eval().requires_grad_(False), preprocessing


def _trained_recipe(recipe: str, root: Path, seed: int, folder: Path) -> Path:
    """The model folder of a recipe that is trained on the study's data once."""
    # Lightning is imported only where something is trained with it.
    from showattend.training.command import train

    run = folder / "encoder"
    finished = run / "finished"  # the model is there from the first validation on
    if not finished.exists():
        options = {"data.root": root, "data.cache_dir": folder / "cache", "runs": folder, "name": "encoder", "seed_everything": seed}
        options |= {"ckpt_path": "last"} if run.exists() else {}
        if status := train(["fit", "--config", recipe, *(f"--{name}={value}" for name, value in options.items())]):
            raise SystemExit(status)  # the training has said why
        write_text(finished, "")
    return run / "model"
