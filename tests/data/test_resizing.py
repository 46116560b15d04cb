"""Resizing by torch and by Pillow."""

import sys

import numpy as np
import pytest
from PIL import Image

from showattend.data.resizing import REDUCING_GAP, resize

SIDE = 48


def by_pillow(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    return np.array(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box, REDUCING_GAP))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(48, 48), (100, 75), (75, 100), (250, 187), (287, 280), (20, 30), (1, 1), (3, 200)])
def test_torch_s_bytes_are_pillow_s_but_for_rounding(size: tuple[int, int]) -> None:
    found, expected = resize(noise(*size), SIDE, (0.0, 0.0, *size)), by_pillow(noise(*size))
    assert (found.shape, found.dtype) == (expected.shape, np.uint8)
    differences = np.abs(found.astype(int) - expected)
    assert differences.max() <= 2
    assert (differences > 0).mean() < 0.02


@pytest.mark.parametrize(
    ("size", "box"), [((100, 75), (10.5, 0.0, 80.0, 75.0)), ((400, 300), (0.0, 0.0, 400.0, 300.0))], ids=["a part", "a large picture"]
)
def test_parts_and_large_pictures_are_pillow_s(size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    assert np.array_equal(resize(noise(*size), SIDE, box), by_pillow(noise(*size), box))


def test_without_torch_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(250, 187)
    by_torch = resize(image, SIDE, (0.0, 0.0, 250.0, 187.0))
    monkeypatch.delitem(sys.modules, "torch")
    without = resize(image, SIDE, (0.0, 0.0, 250.0, 187.0))
    assert np.array_equal(without, by_pillow(image))
    assert not np.array_equal(without, by_torch)
