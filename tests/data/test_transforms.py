"""Preprocessing: size, crop and mirror of the network's square."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from showattend.data.images import BrokenImage, open_photo
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError


def marked(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", (width, height), "black")
    image.paste("white", box)
    return image


def bright_box(image: torch.Tensor) -> tuple[int, int, int, int]:
    rows, columns = (image[0] > 127).nonzero().unbind(1)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_stretch_shows_all_of_the_photo() -> None:
    image = Preprocessing(64)(marked(256, 128, (64, 64, 128, 128)))
    assert (image.shape, image.dtype) == ((3, 64, 64), torch.uint8)
    assert bright_box(image) == (16, 32, 32, 64)


def test_crop_is_the_paper_s_short_side_256_and_middle_224() -> None:
    photo = marked(400, 256, (200, 128, 240, 148))
    assert Preprocessing(224, "crop").crop_box(400, 256) == pytest.approx((88, 16, 312, 240))
    assert bright_box(Preprocessing(224, "crop")(photo)) == (200 - 88, 128 - 16, 240 - 88, 148 - 16)


@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64)])
def test_a_box_lies_where_crop_box_says(resize: str, size: tuple[int, int]) -> None:
    """A box of the photo lies where `crop_box` says; heatmaps rely on it."""
    preprocessing = Preprocessing(96, resize)
    box = (size[0] // 2, size[1] // 2, size[0] // 2 + 20, size[1] // 2 + 16)
    left, upper, right, lower = preprocessing.crop_box(*size)
    scale_x, scale_y = 96 / (right - left), 96 / (lower - upper)
    expected = ((box[0] - left) * scale_x, (box[1] - upper) * scale_y, (box[2] - left) * scale_x, (box[3] - upper) * scale_y)
    assert bright_box(preprocessing(marked(*size, box))) == pytest.approx(expected, abs=1)


def test_mirrored_is_the_mirror_and_twice_mirrored_the_same() -> None:
    photo = marked(128, 128, (0, 0, 32, 64))
    preprocessing = Preprocessing(64)
    assert torch.equal(preprocessing.mirrored()(photo), preprocessing(photo).flip(-1))
    assert preprocessing.mirrored().mirrored() == preprocessing


# How a camera held that way stores an upright picture.
STORED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    stored = marked(60, 40, (0, 0, 20, 10))
    if orientation in STORED:
        stored = stored.transpose(Image.Transpose[STORED[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    photo, size = open_photo(tmp_path / "photo.png")
    assert photo.size == size == (60, 40)
    assert bright_box(torch.from_numpy(np.array(photo)).permute(2, 0, 1)) == (0, 0, 20, 10)


def test_a_large_jpeg_is_decoded_small_but_reports_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    marked(1600, 1200, (800, 600, 1600, 1200)).save(path)
    photo, size = open_photo(path, size_hint=200)
    assert size == (1600, 1200)
    assert photo.size == (400, 300)
    small, _ = Preprocessing(64).load(path)
    assert bright_box(small) == pytest.approx((32, 32, 64, 64), abs=1)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_any_kind_of_picture_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    Image.new(mode, (20, 20)).save(path)
    assert Preprocessing(16).load(path)[0].shape == (3, 16, 16)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    path = (tmp_path / "x.png").rename(tmp_path / "photo.jpg")
    assert open_photo(path)[0].size == (9, 9)


def test_errors_of_broken_files_name_the_file_and_the_reason(tmp_path: Path) -> None:
    good = tmp_path / "good.jpg"
    marked(200, 200, (0, 0, 99, 99)).save(good)
    contents = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"hello", "not a picture"),
        "cut.jpg": (good.read_bytes()[:900], "cannot be read"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BrokenImage, match=f"{name}.*{message}"):
            open_photo(tmp_path / name)
    for missing in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(BrokenImage):
            open_photo(missing)


def test_unknown_ways_to_resize_and_sizes_below_1_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'crop'"):
        Preprocessing(224, "corp")
    with pytest.raises(InputError, match="image_size"):
        Preprocessing(0)
