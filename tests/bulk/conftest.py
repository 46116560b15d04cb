"""A model that was never trained, and photos in two folders."""

from pathlib import Path

import pytest
from bulk_folders import PHOTOS, jpeg
from factories import untrained_model

from showattend.pretrained import save_pretrained


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    save_pretrained(untrained_model(), folder := tmp_path_factory.mktemp("bulk") / "model")
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos in two folders, one of them broken; the folder that holds them is the working folder."""
    monkeypatch.chdir(tmp_path)
    for index in range(PHOTOS):
        path = tmp_path / "photos" / ("a" if index < 6 else "b") / f"{index:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken" if index == 4 else jpeg(index))
    (tmp_path / "photos" / "notes.doc").write_text("no photo")
    return Path("photos")
