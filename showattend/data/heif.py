"""HEIC, the format of many telephones' photos, opened by the optional library pillow-heif."""

from typing import BinaryIO

from PIL import Image, ImageFile

from showattend.errors import InputError

FORMAT = "HEIF"
SUFFIXES = frozenset({".heic", ".heif", ".hif"})
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(file: BinaryIO) -> bool:
    """Whether a file begins as HEIC does; AVIF, which has the same container, has other brands."""
    file.seek(0)
    head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in BRANDS


def open_heif(file: BinaryIO) -> ImageFile.ImageFile:
    """A picture whose header is read; the library turns it upright itself.

    Raises:
        InputError: the library is not installed.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError("HEIC is read by a library of its own: pip install 'showattend[heic]', or save the photo as JPEG") from error
    register_heif_opener()
    return Image.open(file, formats=[FORMAT])
