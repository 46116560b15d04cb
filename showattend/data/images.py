"""Opening photo files by their content: upright, RGB, and one error for every file that holds no picture."""

import errno
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from showattend.data import heif
from showattend.errors import InputError

# Formats of photos. All others of Pillow stay closed: some start programs (EPS runs Ghostscript), and few people test them.
COMMON_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")  # those that Pillow loads first
OTHER_FORMATS = ("WEBP", "TIFF", "JPEG2000", "AVIF")
# Suffixes by which Pillow knows no format, of files that hold one of ours: a JPEG with several pictures.
MORE_SUFFIXES = frozenset({".mpo"})
MAX_BYTES = 2**30
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)  # from here on Pillow refuses; a small file may hold any number of pixels
MAX_PIXELS_VARIABLE = "SHOWATTEND_MAX_PIXELS"  # an environment variable, so that worker processes have it too
# The transposition that puts a picture upright, by its EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
# The largest values of grey pictures with more than 8 bits; the smallest that covers a picture is its white.
WHITES = (1.0, 255.0, 2.0**16 - 1, 2.0**24 - 1, 2.0**32 - 1)


class BrokenImage(InputError):
    """A file that does not hold a readable picture."""


@cache
def photo_suffixes() -> frozenset[str]:
    """The suffixes of all formats that are read, in small letters with their dots."""
    Image.init()
    formats = {name for name in (*COMMON_FORMATS, *OTHER_FORMATS) if name in Image.OPEN}
    return MORE_SUFFIXES | heif.SUFFIXES | {suffix for suffix, name in Image.registered_extensions().items() if name in formats}


def has_photo_suffix(name: str | os.PathLike[str]) -> bool:
    """Whether a file is a photo by its name."""
    return os.path.splitext(name)[1].lower() in photo_suffixes()


def max_pixels() -> int:
    """How many pixels a picture may have, by the environment variable.

    Raises:
        InputError: the variable holds no number.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE) or str(MAX_PIXELS)
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise InputError(f"{MAX_PIXELS_VARIABLE} is {text!r}: give a number of pixels, such as {MAX_PIXELS}")
    return int(text)


def open_photo(path: Path, *, size_hint: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Read a picture by its content, whatever its name says: upright (EXIF), RGB.

    Args:
        size_hint: shortest side that is needed; a larger JPEG is decoded at a fraction of its size, which saves most of the time

    Returns:
        the picture, and the width and height of the whole

    Raises:
        BrokenImage: no such file, not a regular file, or no readable picture in it.
    """
    with _decoding(path):
        return _decode(_read_file(path), size_hint)


def open_content(content: bytes, name: object, *, size_hint: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """As `open_photo`, from the bytes of a file that is called `name` in errors.

    Raises:
        BrokenImage: there is no readable picture in them.
    """
    with _decoding(name):
        if not content:
            raise BrokenImage(f"{name}: the file is empty")
        return _decode(content, size_hint)


def decode_photo(content: bytes) -> Image.Image:
    """A picture from the bytes of a file: upright, RGB.

    Raises:
        BrokenImage: there is no readable picture in them.
    """
    return open_content(content, f"<{len(content)} bytes>")[0]


def upright_rgb(image: Image.Image) -> Image.Image:
    """An open picture turned upright by its EXIF orientation, as RGB with 8 bits a channel."""
    transposition = UPRIGHT.get(_orientation(image))
    return _to_rgb(image if transposition is None else image.transpose(transposition))


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height of a photo, upright, from the first bytes of its file.

    Raises:
        BrokenImage: no such file, not a regular file, or no picture in it.
    """
    with _decoding(path):
        _check_regular(path)
        with path.open("rb") as file, _identify(file) as image:
            return _upright_size(image)


@contextmanager
def _decoding(path: object) -> Iterator[None]:
    """Turn every error into one line with the file's name; decoders' warnings, which do not name the file, are silenced."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BrokenImage:
        raise
    except InputError as error:
        raise BrokenImage(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise BrokenImage(f"{path}: not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise BrokenImage(f"{path}: {_too_large(error)}") from error
    except MemoryError as error:
        raise BrokenImage(f"{path}: there is not enough memory for its pixels") from error
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # not the photo's fault
            raise
        raise BrokenImage(f"{path}: {error.strerror or f'cannot be read ({error})'}") from error
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        raise BrokenImage(f"{path}: cannot be read ({error})") from error


def _too_large(pixels: object) -> str:
    count = next((int(word) for word in re.findall(r"\d+", str(pixels))), 0)
    return (
        f"the picture has {count:,} pixels, and at most {max_pixels():,} are read: "
        f"make it smaller, or allow more with --max-pixels {count} (in Python: the environment variable {MAX_PIXELS_VARIABLE})"
    )


def _check_regular(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise BrokenImage(f"{path}: {'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe, socket or device'}, not a photo's file")
    if status.st_size > MAX_BYTES:
        raise BrokenImage(f"{path}: the file has {status.st_size / 1e9:.1f} GB, and photos of at most {MAX_BYTES / 1e9:.1f} GB are read")


def _read_file(path: Path) -> bytes:
    _check_regular(path)
    content = path.read_bytes()
    if not content:
        raise BrokenImage(f"{path}: the file is empty")
    return content


def _decode(content: bytes, size_hint: int | None) -> tuple[Image.Image, tuple[int, int]]:
    image = _identify(io.BytesIO(content))
    size = _upright_size(image)
    if size_hint is not None:
        image.draft("RGB", (size_hint, size_hint))
    image.load()
    return upright_rgb(image), size


def _identify(file: BinaryIO) -> Image.Image:
    """A picture whose header is read, in one of the formats of photos, and of a size that is allowed."""
    limit = max_pixels()
    if limit > MAX_PIXELS:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, -(-limit // 2))  # Pillow refuses from twice this number on
    try:
        image = Image.open(file, formats=COMMON_FORMATS)
    except UnidentifiedImageError:
        Image.init()
        image = heif.open_heif(file) if heif.is_heif(file) else Image.open(file, formats=[n for n in OTHER_FORMATS if n in Image.OPEN])
    if image.width * image.height > limit:
        raise Image.DecompressionBombError(str(image.width * image.height))
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where it is missing or is no such number."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF: the picture itself may be whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    # 5 to 8 exchange the sides; Pillow has done so for TIFF.
    return (height, width) if _orientation(image) >= 5 and image.format != "TIFF" else (width, height)


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB with 8 bits a channel, on white; greys of more bits are scaled, which `convert` would cut off at 255 instead."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        image = _grey_of_8_bits(image)
    elif image.has_transparency_data:
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple) and max(transparent) > 255:  # of 16 bits, while Pillow has read the upper 8 of each pixel
            image = image.copy()  # an open picture is its owner's
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
        image = _on_white(image)
    return image.convert("RGB")


def _grey_of_8_bits(image: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, or of floats, as one of 8; what a PNG declares transparent is white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    tags = getattr(image, "tag_v2", {})  # of TIFF
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    if image.mode == "I" and bits == 32 and tags.get(SAMPLE_FORMAT, (1,))[0] == 1:
        values %= 2.0**32  # unsigned, while Pillow reads it as signed
    if image.mode.startswith("I;16"):
        white = 2.0**bits - 1
    elif image.format == "PPM":  # which Pillow scales
        white = 2.0**16 - 1
    else:
        white = next((w for w in WHITES if values.max() <= w), values.max())
    greys = (values.clip(0, white) * (255 / white)).round().astype(np.uint8)
    if image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == 0:  # white is zero
        greys = 255 - greys
    if isinstance(transparent := image.info.get("transparency"), int):
        greys[values == transparent] = 255
    return Image.fromarray(greys)


def _on_white(image: Image.Image) -> Image.Image:
    """A picture with transparent parts as a viewer shows it, on white; colours that lie hidden under them do not count."""
    image = image.convert("RGBA")
    background = Image.new("RGB", image.size, "white")
    background.paste(image, mask=image.getchannel("A"))
    return background
