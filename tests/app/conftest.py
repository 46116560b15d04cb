"""The page of `showattend app`, served once for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import served_page
from PIL import Image


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "grey.png"
    Image.new("RGB", (120, 80), (90, 90, 90)).save(path)
    return path


@pytest.fixture(scope="session")
def address(photo: Path) -> Iterator[str]:
    with served_page(photo) as address:
        yield address
