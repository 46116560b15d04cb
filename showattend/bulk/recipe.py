"""What a captioner is built from on every machine, and the digest that names its models."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from showattend.files import sha256_of
from showattend.generation_config import GenerationConfig
from showattend.inference import Captioner
from showattend.model_files import CHECKED, CONFIG, VOCABULARY
from showattend.pretrained import Pretrained, find_model_folder, load_pretrained

FILES = (CONFIG, VOCABULARY, *CHECKED)  # on which captions depend


class CaptionerRecipe(NamedTuple):
    """Models and the options of a captioner, which go to the machines that caption: these need no model folder.

    digest: of the models' files
    photos: that one captioner will caption, see `Captioner.expect`
    """

    models: tuple[Pretrained, ...]
    digest: str
    attention_mode: str | None = None
    precision: str = "auto"
    fuse: str = "auto"
    photos: int = 0

    @property
    def model(self) -> Pretrained:
        """The first one, whose vocabulary, preprocessing and defaults are used."""
        return self.models[0]

    def build(self, device: str | torch.device | None, config: GenerationConfig | None = None) -> Captioner:
        """The captioner on a device.

        Args:
            config: of the search for the captions of `photos`

        Raises:
            InputError: see `Captioner`.
        """
        first, *others = self.models
        captioner = Captioner(first, device, ensemble=others, attention_mode=self.attention_mode, fuse=self.fuse, precision=self.precision)
        captioner.expect(self.photos, config)
        return captioner


def load_recipe(folders: Sequence[Path], *, trust: Collection[str] = (), **options: object) -> CaptionerRecipe:
    """Read model folders, local ones or names on the Hugging Face Hub.

    Raises:
        InputError: see `load_pretrained`.
    """
    local = [find_model_folder(folder) for folder in folders]
    models = tuple(load_pretrained(folder, trust=trust) for folder in local)
    return CaptionerRecipe(models, digest_of(local), **options)  # type: ignore[arg-type]


def digest_of(folders: Sequence[Path]) -> str:
    """SHA-256 over the files of model folders on which captions depend, in 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file():
                digest.update(f"{name} {sha256_of(folder / name)}\n".encode())
    return digest.hexdigest()
