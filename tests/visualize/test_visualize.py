from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from showattend.errors import InputError
from showattend.inference import Caption
from showattend.visualize import attention_figure, attention_map


def caption(words: int, grid: tuple[int, int], visible: tuple[float, float, float, float]) -> Caption:
    alphas = torch.full((words, grid[0] * grid[1]), 0.001)
    return Caption([f"word{n}" for n in range(words)], -1.0, alphas, grid, visible, visible)


@pytest.mark.parametrize("visible", [(0, 0, 300, 200), (50, 0, 250, 200), (62.5, 12.5, 237.5, 187.5)])
def test_a_planted_weight_shows_up_where_the_network_saw_it(visible: tuple[float, float, float, float]) -> None:
    found = caption(1, (7, 7), visible)
    found.alphas[0, 7 * 2 + 5] = 1.0
    heat = attention_map(found, 0, (300, 200))
    assert heat.shape == (200, 300)
    left, upper, right, lower = visible
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert x + 0.5 == pytest.approx(left + 5.5 / 7 * (right - left), abs=2)
    assert y + 0.5 == pytest.approx(upper + 2.5 / 7 * (lower - upper), abs=2)
    assert heat.max() == pytest.approx(1.0)
    assert heat.min() >= 0


def test_a_grid_that_looks_up_and_left_is_drawn_there_and_leaves_no_dark_margin() -> None:
    found = replace(caption(1, (7, 7), (0, 0, 280, 280)), grid_box=(-20, -20, 260, 260))
    found.alphas[0, 7 * 2 + 5] = 1.0
    heat = attention_map(found, 0, (280, 280))
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (x + 0.5, y + 0.5) == pytest.approx((200, 80), abs=1)
    found.alphas[:] = 1 / 49
    assert attention_map(found, 0, (280, 280)).min() == pytest.approx(1.0, abs=1e-4)


def test_nothing_is_claimed_about_what_the_network_did_not_see() -> None:
    heat = attention_map(caption(1, (7, 7), (50, 0, 250, 200)), 0, (300, 200))
    assert not heat[:, :50].any()
    assert not heat[:, 250:].any()
    assert heat[:, 50:250].all()


@pytest.mark.parametrize("words", [0, 1, 20])
@pytest.mark.parametrize("size", [(640, 427), (90, 400)])
def test_figures_of_any_length_and_shape(words: int, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    attention_figure(Image.new("RGB", size, "olive"), caption(words, (14, 14), (0, 0, *size)), path)
    figure = Image.open(path)
    assert figure.width >= 200
    assert len(figure.convert("L").getcolors(256) or []) > 2
    assert list(tmp_path.iterdir()) == [path]


def test_the_figure_shows_what_it_was_told_and_not_only_the_photo(tmp_path: Path) -> None:
    photo, found = Image.new("RGB", (100, 100), "gray"), caption(3, (7, 7), (0, 0, 100, 100))
    attention_figure(photo, found, tmp_path / "a.png")
    found.alphas[1, 10] = 1.0
    attention_figure(photo, found, tmp_path / "b.png")
    assert Image.open(tmp_path / "a.png").tobytes() != Image.open(tmp_path / "b.png").tobytes()


def test_an_unknown_format_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure\.txt"):
        attention_figure(Image.new("RGB", (9, 9)), caption(1, (7, 7), (0, 0, 9, 9)), tmp_path / "figure.txt")
    assert not list(tmp_path.iterdir())
