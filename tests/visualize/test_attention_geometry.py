"""The map lies on the place that the network looked at, for every orientation, aspect and way to resize.

A stub looks at brightness: its alpha is the brightness of each cell of the pixels that the network would get. A photo with one bright
square must then be lit at this square.
"""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
import torch
from bright_square import bright_square_photo, brightness_caption, square_of
from PIL import Image, ImageFilter

from showattend.visualize import DrawingOptions, attention_figure, attention_map, save_figure, write_attention
from showattend.visualize.maps import photo_of

SIZES = [(300, 200), (200, 300), (420, 210), (240, 240), (40, 40)]


def rasterised(path: Path) -> Image.Image:
    """A figure's file as pixels, grey."""
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as document:
            return document[0].render(scale=3).to_pil().convert("L")
    return Image.open(path).convert("L")


@pytest.mark.parametrize("ending", [".png", ".pdf"])
@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_figure_is_brightest_where_the_photo_has_its_square(orientation: int, resize: str, ending: str, tmp_path: Path) -> None:
    size = SIZES[orientation % len(SIZES)]
    path = bright_square_photo(tmp_path / "photo.jpg", size, orientation)
    caption = brightness_caption(path, resize)
    figure = caption.figure()
    save_figure(figure, tmp_path / f"figure{ending}")
    picture = rasterised(tmp_path / f"figure{ending}")
    left, lower, right, upper = figure.axes[1].get_position().extents
    box = (left * picture.width, (1 - upper) * picture.height, right * picture.width, (1 - lower) * picture.height)
    # Where two areas meet, the white page may shine through as a hairline.
    panel = np.asarray(picture.crop([round(edge) for edge in box]).filter(ImageFilter.BoxBlur(2)), dtype=float)
    panel = np.pad(panel[3:-3, 3:-3], 3)
    y, x = np.unravel_index(panel.argmax(), panel.shape)
    left, upper, right, lower = square_of(size)
    cell = max(caption.grid_box[2] - caption.grid_box[0], caption.grid_box[3] - caption.grid_box[1]) / 7
    assert left - cell / 2 <= (x + 0.5) / panel.shape[1] * size[0] <= right + cell / 2
    assert upper - cell / 2 <= (y + 0.5) / panel.shape[0] * size[1] <= lower + cell / 2


@pytest.mark.parametrize("ending", [".gif", ".webp"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_an_animation_is_brightest_there_too_and_models_type_together(orientation: int, ending: str, tmp_path: Path) -> None:
    size = SIZES[orientation % 4]
    path = bright_square_photo(tmp_path / "photo.jpg", size, orientation)
    long, short = (brightness_caption(path, "stretch", words=count) for count in (3, 1))
    for name, captions in (("one", {"": long}), ("two", {"a": long, "b": short})):
        write_attention(tmp_path / f"{name}{ending}", photo_of(long), "photo.jpg", captions, DrawingOptions())
    with Image.open(tmp_path / f"one{ending}") as one, Image.open(tmp_path / f"two{ending}") as two:
        assert one.n_frames == two.n_frames > 3
        assert two.height > 2 * one.height
        one.seek(1)
        picture = np.asarray(one.convert("L"), dtype=float)[: size[1], (one.width - size[0]) // 2 :][:, : size[0]]
    y, x = np.unravel_index(picture.argmax(), picture.shape)
    left, upper, right, lower = square_of(size)
    cell = max(long.grid_box[2] - long.grid_box[0], long.grid_box[3] - long.grid_box[1]) / 7
    assert left - cell / 2 <= x + 0.5 <= right + cell / 2
    assert upper - cell / 2 <= y + 0.5 <= lower + cell / 2


@pytest.mark.parametrize("upsample", ["bicubic", "gaussian", "none"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_every_upsampling_is_largest_at_the_square(resize: str, size: tuple[int, int], upsample: str, tmp_path: Path) -> None:
    caption = brightness_caption(bright_square_photo(tmp_path / "photo.png", size), resize)
    weights = attention_map(caption, 0, size, upsample)
    left, upper, right, lower = square_of(size)
    ys, xs = np.nonzero(weights >= weights.max() - 1e-6)
    cell = max(caption.grid_box[2] - caption.grid_box[0], caption.grid_box[3] - caption.grid_box[1]) / 7
    assert (left + right) / 2 == pytest.approx(xs.mean() + 0.5, abs=cell / 2 + (right - left) / 2)
    assert (upper + lower) / 2 == pytest.approx(ys.mean() + 0.5, abs=cell / 2 + (lower - upper) / 2)


def test_bicubic_weights_are_those_of_torch(tmp_path: Path) -> None:
    caption = brightness_caption(bright_square_photo(tmp_path / "photo.png", (70, 70)), "stretch")
    alpha = caption.alphas[0].view(1, 1, 7, 7)
    expected = torch.nn.functional.interpolate(alpha, (70, 70), mode="bicubic").clamp(min=0)[0, 0]
    assert np.allclose(attention_map(caption, 0, (70, 70)), (expected / expected.max()).numpy(), atol=1e-5)


@pytest.mark.parametrize("style", ["spotlight", "heat", "contour", "boxes"])
def test_every_style_marks_what_the_network_did_not_see(style: str, tmp_path: Path) -> None:
    path = bright_square_photo(tmp_path / "photo.jpg", (420, 210))
    figure = brightness_caption(path, "crop").figure(style=style)
    hatched = [[patch for patch in axis.patches if patch.get_hatch()] for axis in figure.axes]
    assert [len(patches) for patches in hatched] == [4, 4]


def test_a_vector_figure_keeps_its_words_as_text(tmp_path: Path) -> None:
    caption = brightness_caption(bright_square_photo(tmp_path / "photo.jpg", (300, 200)), "stretch")
    for name, text in (("a.svg", b"$x$ &lt;b&gt; na\xc3\xafve"), ("a.pdf", b"/FontFile2")):
        caption.words[0] = "$x$ <b> naïve"
        save_figure(caption.figure(style="contour"), tmp_path / name)
        assert text in (tmp_path / name).read_bytes()


def test_columns_and_words_choose_the_panels(tmp_path: Path) -> None:
    caption = brightness_caption(bright_square_photo(tmp_path / "photo.jpg", (300, 200)), "stretch", words=9)
    figure = attention_figure(photo_of(caption), caption, columns=3, words=(3, 5, 9))
    assert [axis.get_title() for axis in figure.axes] == ["", "word3", "word5", "word9"]
    assert figure.get_figwidth() < 3.6


def test_an_open_picture_is_shown_as_its_file_is(tmp_path: Path) -> None:
    path = bright_square_photo(tmp_path / "photo.jpg", (300, 200), 6)
    caption = brightness_caption(path, "stretch")
    buffer = io.BytesIO(path.read_bytes())
    assert photo_of(caption).size == (300, 200)
    opened = replace(caption, photo=Image.open(buffer))
    named = replace(caption, photo=str(path))
    assert photo_of(opened).tobytes() == photo_of(named).tobytes() == photo_of(caption).tobytes()
