"""Opening photo files: formats, EXIF orientation, deep greys, and files that are no photos."""

import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from showattend.data.captions import read_captions
from showattend.data.images import BrokenImage, open_photo, photo_size
from showattend.data.photos import find_photos
from showattend.errors import InputError


def photo(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    Image.new("RGB", size, "red").save(path)
    return path


def with_orientation(path: Path, kind: int, value: bytes) -> Path:
    """A JPEG whose EXIF orientation has a type and a value of its own."""
    content = photo(path).read_bytes()
    raw = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHI", 1, 274, kind, 4) + value + b"\0\0\0\0"
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(raw) + 2) + raw + content[2:])
    return path


@pytest.mark.parametrize(("kind", "value"), [(2, b"abc\0"), (7, b"\6\0\0\0"), (3, b"\0\x09\0\0"), (1, b"\6\6\6\6")])
def test_an_exif_orientation_that_is_no_number_from_1_to_8_counts_as_upright(kind: int, value: bytes, tmp_path: Path) -> None:
    path = with_orientation(tmp_path / "a.jpg", kind, value)
    assert open_photo(path)[1] == open_photo(path)[0].size == photo_size(path) == (64, 48)


GREYS = np.tile(np.linspace(0, 255, 64), (48, 1))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.png", (GREYS * 257).astype("u2")),
        ("a.tif", (GREYS * 257).astype("u2")),
        ("i.tif", (GREYS * 65536).astype("i4")),
        ("f.tif", (GREYS / 255).astype("f4")),
        ("bytes.tif", GREYS.astype("f4")),
        ("nan.tif", np.where(GREYS > 0, GREYS / 255, np.nan).astype("f4")),
    ],
)
def test_greys_of_more_than_8_bits_are_scaled(name: str, values: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / name)
    pixels = np.asarray(open_photo(tmp_path / name)[0])[..., 0]
    assert np.abs(pixels - GREYS).max() <= 2


def set_tags(path: Path, values: dict[int, int]) -> int:
    """Change tags of a little-endian TIFF, and return where the pixels begin."""
    content = bytearray(path.read_bytes())
    directory = int.from_bytes(content[4:8], "little")
    places = {}
    for entry in range(int.from_bytes(content[directory : directory + 2], "little")):
        place = directory + 2 + 12 * entry
        places[int.from_bytes(content[place : place + 2], "little")] = place + 8
    for tag, value in values.items():
        content[places[tag] : places[tag] + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)
    return int.from_bytes(content[places[273] : places[273] + 4], "little")


def tiff_of_12_bits(path: Path, values: np.ndarray) -> None:
    """A TIFF with two pixels in three bytes, which Pillow reads but does not write."""
    one, other = values.reshape(-1, 2).astype(int).T
    packed = np.stack((one >> 4, (one & 15) << 4 | other >> 8, other & 255), -1).astype("u1").tobytes()
    Image.fromarray(values.astype("u2")).save(path)
    start = set_tags(path, {258: 12, 279: len(packed)})
    content = path.read_bytes()
    path.write_bytes(content[:start] + packed + content[start + len(packed) :])


def test_greys_of_12_bits_and_those_in_which_white_is_zero_are_right(tmp_path: Path) -> None:
    tiff_of_12_bits(tmp_path / "twelve.tif", GREYS // 16 * 16)  # dark: at most 240 of 4095
    Image.fromarray((GREYS * 257).astype("u2")).save(tmp_path / "inverted.tif", tiffinfo={262: 0})
    dark, inverted = (np.asarray(open_photo(tmp_path / name)[0])[..., 0].astype(int) for name in ("twelve.tif", "inverted.tif"))
    assert np.abs(dark - GREYS // 16 * 255 / 256).max() <= 1
    assert np.abs(inverted - (255 - GREYS)).max() <= 1


def test_unsigned_greys_of_32_bits_may_be_above_those_of_signed_ones(tmp_path: Path) -> None:
    values = (GREYS.astype("i8") * 2**24).astype("u4")
    Image.fromarray(values.view("i4")).save(tmp_path / "a.tif")
    set_tags(tmp_path / "a.tif", {339: 1})
    assert np.abs(np.asarray(open_photo(tmp_path / "a.tif")[0])[..., 0].astype(int) - GREYS).max() <= 2


@pytest.mark.parametrize(("mode", "transparent"), [("I;16", 1000), ("RGB", (1000, 1000, 1000))])
def test_a_transparent_value_of_16_bits_is_white(mode: str, transparent: object, tmp_path: Path) -> None:
    if mode == "RGB":
        rows = b"".join(b"\0" + struct.pack(">6H", 1000, 1000, 1000, 0, 0, 0) for _ in range(2))  # without a filter
        chunks = [(b"IHDR", struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)), (b"tRNS", struct.pack(">3H", 1000, 1000, 1000))]
        chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        packed = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    else:
        Image.fromarray(np.array([[1000, 0], [1000, 0]], "u2")).save(tmp_path / "a.png", transparency=transparent)
    assert np.asarray(open_photo(tmp_path / "a.png")[0])[..., 0].tolist() == [[255, 0], [255, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp"])
def test_the_size_is_that_of_the_upright_picture(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (80, 40), "red").save(path, exif=exif)
    assert photo_size(path) == open_photo(path)[0].size == ((40, 80) if orientation > 4 else (80, 40))


def test_a_black_picture_of_16_bits_stays_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), "u2")).save(tmp_path / "black.png")
    assert not np.asarray(open_photo(tmp_path / "black.png")[0]).any()


def test_formats_other_than_photos_are_refused_and_start_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "a.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n")
    for attempt in (open_photo, photo_size):
        with pytest.raises(BrokenImage, match=r"a.jpg: not a picture in a known format"):
            attempt(path)
    assert not (tmp_path / "started").exists()


def test_heic_is_read_upright_and_without_its_library_a_line_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    upright = Image.new("RGB", (64, 96), "red")
    upright.paste("blue", (0, 0, 64, 48))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = pillow_heif.from_pillow(upright.transpose(Image.Transpose.ROTATE_90))
    stored.info["exif"] = exif.tobytes()
    path = tmp_path / "a.heic"
    stored.save(path)
    image, size = open_photo(path)
    assert image.size == size == photo_size(path) == (64, 96)
    assert image.getpixel((32, 8))[2] > 200
    assert find_photos([str(tmp_path)]).paths == [path]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BrokenImage, match=r"a.heic: HEIC is read by .* pip install 'showattend\[heic\]'"):
        open_photo(path)


@pytest.mark.parametrize("name", ["a.webp", "a.tif", "a.gif", "a.bmp", "a.ppm"])
def test_the_formats_of_photos_are_read(name: str, tmp_path: Path) -> None:
    assert photo_size(photo(tmp_path / name)) == open_photo(tmp_path / name)[0].size == (64, 48)


def test_pipes_folders_and_links_to_nowhere_are_no_photos(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "dangling.jpg", "circle.jpg", "folder.jpg", "none.jpg"):
        for attempt in (open_photo, photo_size):
            with pytest.raises(BrokenImage, match=name):
                attempt(tmp_path / name)
    with pytest.raises(InputError, match="holds no photo"):
        find_photos([str(tmp_path)])
    with pytest.raises(InputError, match=r"no photo at .*pipe.jpg: it is no regular file"):
        find_photos([str(tmp_path / "pipe.jpg")])


def test_pipes_and_links_to_nowhere_in_a_data_set_are_left_out(tmp_path: Path) -> None:
    photo(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "good.png")
    names = ("good", "pipe", "dangling", "circle", "link")
    (tmp_path / "c.csv").write_text("image,caption,split\n" + "".join(f"{name}.png,a dog,train\n" for name in names))
    data = read_captions(tmp_path)
    assert [photo.id for photo in data.split("train")] == ["good.png", "link.png"]
    assert "3 photos listed without a file" in data.notes[0]


def test_decoders_warnings_are_silenced(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert photo_size(tmp_path / "large.png") == (10_000, 10_000)
    assert not caught


def test_a_photo_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(BrokenImage, match=r"2\.1 GB"):
        open_photo(tmp_path / "huge.jpg")


def test_a_picture_of_too_many_pixels_says_how_to_allow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "scan.png")
    with pytest.raises(BrokenImage, match=r"scan.png: .* 200,000,000 pixels, .* --max-pixels 200000000"):
        photo_size(tmp_path / "scan.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv("SHOWATTEND_MAX_PIXELS", "200000000")
    assert photo_size(tmp_path / "scan.png") == (20_000, 10_000)
    monkeypatch.setenv("SHOWATTEND_MAX_PIXELS", "100")
    with pytest.raises(BrokenImage, match="at most 100 are read"):
        photo_size(photo(tmp_path / "a.png"))
    monkeypatch.setenv("SHOWATTEND_MAX_PIXELS", "many")
    with pytest.raises(BrokenImage, match="'many': give a number"):
        photo_size(photo(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "L", "RGB", "1", "gif"])
def test_transparent_parts_are_white(mode: str, tmp_path: Path) -> None:
    """Half of the picture is opaque black, the other half has a colour that nobody sees."""
    alpha = Image.new("L", (8, 8), 255)
    alpha.paste(0, (0, 0, 4, 8))
    path = tmp_path / ("a.gif" if mode == "gif" else "a.tif" if mode == "PA" else "a.png")
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (8, 8), "black")
        image.putalpha(alpha)
        image.save(path)
    elif mode == "PA":
        path = tmp_path / "a.png"
        image = Image.new("P", (8, 8), 1)
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.paste(0, (0, 0, 4, 8))
        image.save(path, transparency=b"\x00\xff")
    else:
        index = {"P": 7, "gif": 7, "L": 7, "1": 255, "RGB": (1, 2, 3)}[mode]
        image = Image.new("P" if mode == "gif" else mode, (8, 8), 0)
        if mode in ("P", "gif"):
            image.putpalette([0, 0, 0] * 7 + [200, 0, 0])
        image.paste(index, (0, 0, 4, 8))
        image.save(path, transparency=index)
    seen = np.asarray(open_photo(path)[0])
    assert (seen[:, :4] == 255).all()
    assert (seen[:, 4:] == 0).all()


def test_a_folder_has_the_suffixes_of_all_formats(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.jfif", "c.jpe", "d.pgm", "e.apng", "f.mpo", "g.jp2", "h.avif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "i.tga").write_bytes(b"x")
    (tmp_path / "none").write_bytes(b"x")
    found = find_photos([str(tmp_path)])
    assert [path.name[0] for path in found.paths] == list("abcdefgh")
    assert found.note.startswith("not taken for photos, of what folders hold: .tga (1), no suffix (1)")
    assert find_photos([str(tmp_path / "i.tga"), str(tmp_path / "i.tga")]) == ([tmp_path / "i.tga"], "")
