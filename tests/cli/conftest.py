"""A model that was not trained, photos for it to caption, and files for the captions."""

from pathlib import Path

import pytest
from caption_command import KINDS, NAMES
from factories import untrained_model
from PIL import Image

from showattend.pretrained import save_pretrained


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained") / "model"
    save_pretrained(untrained_model(), folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (20, 20), (40 * number, 0, 0)).save(folder / name)
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    return {kind: tmp_path / f"out.{kind}" for kind in KINDS}
