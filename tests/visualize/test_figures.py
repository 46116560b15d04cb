"""Attention maps, and figures as objects and as files."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from showattend.errors import InputError
from showattend.geometry import Box
from showattend.inference import Caption
from showattend.metrics import Estimate
from showattend.metrics.significance import Interval
from showattend.visualize import DrawingOptions, attention_figure, attention_map, curves_figure, gates_figure, save_figure
from showattend.visualize.animation import save_animation


def make_caption(words: int, grid_shape: tuple[int, int], crop_box: Box) -> Caption:
    alphas = torch.full((words, grid_shape[0] * grid_shape[1]), 0.001)
    return Caption([f"word{n}" for n in range(words)], -1.0, alphas, grid_shape, crop_box, crop_box)


def test_words_of_a_stranger_are_drawn_as_text(tmp_path: Path) -> None:
    """Neither formulas nor control characters, which no XML may hold."""
    caption = replace(make_caption(3, (2, 2), (0, 0, 30, 20)), words=[r"$\frac$", "a\x1b[2J", "b\x00"])
    save_figure(attention_figure(Image.new("RGB", (30, 20)), caption), tmp_path / "a.svg")
    save_figure(gates_figure(caption, [{"f": torch.rand(3, 4)}]), tmp_path / "b.svg")
    for name in ("a.svg", "b.svg"):
        text = "".join(ElementTree.parse(tmp_path / name).getroot().itertext())
        assert r"$\frac$" in text
        assert r"a\x1b[2J" in text


@pytest.mark.parametrize("suffix", ["jpg", "pdf", "png", "svg", "webp"])
def test_a_figure_for_which_there_is_no_space_is_an_error_and_no_file(suffix: str, tmp_path: Path) -> None:
    """A limit on the size of files ends a write in its middle, as a full disk does; some encoders overlook it."""
    figure = attention_figure(Image.effect_noise((300, 200), 90).convert("RGB"), make_caption(6, (2, 2), (0, 0, 300, 200)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(InputError, match="ulimit -f"):
            save_figure(figure, tmp_path / f"a.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_an_animation_that_memory_could_not_hold_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose some with --words"):
        save_animation(
            tmp_path / "a.gif", Image.new("RGB", (480, 480)), {"": make_caption(400, (2, 2), (0, 0, 480, 480))}, DrawingOptions()
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("crop_box", [(0, 0, 300, 200), (50, 0, 250, 200), (62.5, 12.5, 237.5, 187.5)])
def test_a_large_weight_is_drawn_where_its_location_lies_on_the_photo(crop_box: Box) -> None:
    caption = make_caption(1, (7, 7), crop_box)
    caption.alphas[0, 7 * 2 + 5] = 1.0
    heatmap = attention_map(caption, 0, (300, 200))
    assert heatmap.shape == (200, 300)
    left, upper, right, lower = crop_box
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert x + 0.5 == pytest.approx(left + 5.5 / 7 * (right - left), abs=2)
    assert y + 0.5 == pytest.approx(upper + 2.5 / 7 * (lower - upper), abs=2)
    assert heatmap.max() == pytest.approx(1.0)
    assert heatmap.min() >= 0


def test_a_grid_shifted_to_the_upper_left_is_drawn_there_and_the_margins_continue_its_edges() -> None:
    caption = replace(make_caption(1, (7, 7), (0, 0, 280, 280)), grid_box=(-20, -20, 260, 260))
    caption.alphas[0, 7 * 2 + 5] = 1.0
    heatmap = attention_map(caption, 0, (280, 280))
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert (x + 0.5, y + 0.5) == pytest.approx((200, 80), abs=1)
    caption.alphas[:] = 1 / 49
    assert attention_map(caption, 0, (280, 280)).min() == pytest.approx(1.0, abs=1e-4)


def test_the_map_is_zero_outside_the_crop_that_the_network_sees() -> None:
    heatmap = attention_map(make_caption(1, (7, 7), (50, 0, 250, 200)), 0, (300, 200))
    assert not heatmap[:, :50].any()
    assert not heatmap[:, 250:].any()
    assert heatmap[:, 50:250].all()


@pytest.mark.parametrize("words", [0, 1, 20])
@pytest.mark.parametrize("size", [(640, 427), (90, 400)])
def test_an_attention_figure_of_any_number_of_words_and_any_shape_can_be_saved(words: int, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    figure = attention_figure(Image.new("RGB", size, "olive"), make_caption(words, (14, 14), (0, 0, *size)))
    assert isinstance(figure, Figure)
    assert sum(bool(axis.images) for axis in figure.axes) == words + 1
    save_figure(figure, path)
    saved = Image.open(path)
    assert saved.width >= 200
    assert len(saved.convert("L").getcolors(256) or []) > 2
    assert list(tmp_path.iterdir()) == [path]


def test_another_alpha_gives_another_figure(tmp_path: Path) -> None:
    photo, caption = Image.new("RGB", (100, 100), "gray"), make_caption(3, (7, 7), (0, 0, 100, 100))
    save_figure(attention_figure(photo, caption), tmp_path / "a.png")
    caption.alphas[1, 10] = 1.0
    save_figure(attention_figure(photo, caption), tmp_path / "b.png")
    assert Image.open(tmp_path / "a.png").tobytes() != Image.open(tmp_path / "b.png").tobytes()


def test_a_gates_figure_has_a_panel_of_means_and_one_for_each_gate() -> None:
    caption = make_caption(4, (7, 7), (0, 0, 100, 100))
    figure = gates_figure(caption, [{"i": torch.rand(4, 8), "f": torch.rand(4, 8)}, {}, {"z": torch.rand(4, 8)}])
    assert [axis.get_title() for axis in figure.axes] == ["layer 1", "", "", "layer 3", ""]
    assert [axis.get_ylabel() for axis in figure.axes][1:3] == ["i, 8 units", "f, 8 units"]


def test_a_cell_without_gates_has_no_gates_figure() -> None:
    with pytest.raises(InputError, match="no gates"):
        gates_figure(make_caption(1, (7, 7), (0, 0, 9, 9)), [{}])


def test_a_curves_figure_has_a_line_for_each_order_of_locations() -> None:
    flat = [Estimate(0.5, Interval(0.4, 0.6))] * 11
    orders = {"alpha": flat, "random": flat}
    figure = curves_figure({"deletion": orders, "insertion": orders})
    assert [axis.get_title() for axis in figure.axes] == ["deletion", "insertion"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]


def test_an_unknown_format_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure\.txt"):
        save_figure(Figure(), tmp_path / "figure.txt")
    assert not list(tmp_path.iterdir())


def test_figures_do_not_import_pyplot() -> None:
    code = "import sys, showattend.visualize; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [(1, 9000), (9000, 1)])
def test_a_figure_of_a_very_long_photo_stays_small(size: tuple[int, int]) -> None:
    figure = attention_figure(Image.new("RGB", size), make_caption(3, (7, 7), (0, 0, *size)))
    assert max(figure.get_size_inches()) < 10
