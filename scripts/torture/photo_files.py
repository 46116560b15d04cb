"""A seeded generator of photo files: whole ones in every format and mode, and damaged, hostile or special ones."""

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

# Formats with the modes that they store.
FORMATS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "F", "I", "I;16", "LAB"),
    "JPEG2000": ("L", "RGB"),
    "AVIF": ("RGB", "RGBA"),
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".webp")
NOT_PHOTOS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    b"%PDF-1.4\n",
    b"#!/bin/sh\ntouch canary\n",
    b"push graphic-context\nimage over 0,0 0,0 'ephemeral:canary'\n",
    b"\x00" * 4096,
    b"P6 99999999 99999999 255\n",
    b"II*\x00\x08\x00\x00\x00\xff\xff",
    b"GIF89a\xff\xff\xff\xff",
    b"\xff\xd8\xff\xe1\xff\xff",
    b"",
)


def picture(rng: random.Random, mode: str, size: tuple[int, int] | None = None) -> Image.Image:
    """A picture of random blocks."""
    width, height = size or (rng.randint(1, 300), rng.randint(1, 300))
    noise = np.random.default_rng(rng.getrandbits(32))
    image = Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8))
    if mode == "F":
        return Image.fromarray((noise.normal(size=(height, width)) * 10 ** rng.uniform(-3, 6)).astype(np.float32))
    if mode.startswith("I"):
        kind = np.uint16 if mode == "I;16" else np.int32
        return Image.fromarray(noise.integers(0, np.iinfo(kind).max, (height, width)).astype(kind))
    if mode == "LAB":
        return Image.merge("LAB", image.split())
    return image.convert(mode)


def exif(rng: random.Random) -> bytes:
    """EXIF with an orientation, whole, cut, or with the type of its value changed."""
    content = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<II", rng.choice([0, 1, 3, 5, 6, 8, 9, 65535]), 0)
    if rng.random() < 0.3:
        return content[: rng.randint(0, len(content))]
    if rng.random() < 0.4:
        return content.replace(b"\x12\x01\x03", b"\x12\x01" + bytes([rng.choice([0, 1, 2, 5, 7, 12, 99])]))
    return content


def encode(rng: random.Random, name: str, mode: str, size: tuple[int, int] | None = None) -> bytes:
    """The bytes of a whole photo, sometimes with EXIF that holds nonsense."""
    file, options = io.BytesIO(), {}
    if name in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.3:
        options["exif"] = exif(rng)
    if name == "JPEG":
        options |= {"progressive": rng.random() < 0.3, "quality": rng.randint(1, 95)}
    try:
        picture(rng, mode, size).save(file, name, **options)
    except Exception:  # not every build writes every format, nor every EXIF
        file = io.BytesIO()
        picture(rng, "RGB", size).save(file, "PNG")
    return file.getvalue()


def any_photo(rng: random.Random) -> bytes:
    """A whole photo of a random format and mode."""
    name = rng.choice(list(FORMATS))
    return encode(rng, name, rng.choice(FORMATS[name]))


def truncated(rng: random.Random) -> bytes:
    """The beginning of a photo."""
    content = any_photo(rng)
    return content[: rng.randint(0, len(content))]


def flipped(rng: random.Random) -> bytes:
    """A photo with some bits flipped, more often in its header."""
    content = bytearray(any_photo(rng))
    for _ in range(rng.choice([1, 4, 16, 64])):
        end = min(len(content), 200) if rng.random() < 0.5 else len(content)
        content[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(content)


def spliced(rng: random.Random) -> bytes:
    """The beginning of one photo and the end of another, or a stretch of one value within a photo."""
    a, b = any_photo(rng), any_photo(rng)
    start = rng.randint(0, len(a))
    if rng.random() < 0.5:
        return a[:start] + b[rng.randint(0, len(b)) :]
    return a[:start] + rng.choice([b"\x00", b"\xff"]) * rng.randint(1, 2000) + a[start:]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with the right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(rng: random.Random) -> bytes:
    """A small PNG that claims a huge size, or has one: zeros compress well."""
    width, height = rng.choice(
        [(2**31 - 1, 2**31 - 1), (60000, 60000), (30000, 30000), (100000, 1), (1, 65500), (20000, 3), (12000, 12000)]
    )
    rows = b""
    if width * height <= 9 * 10**8 and rng.random() < 0.5:
        rows = zlib.compress(b"\x00" * (height * (1 + width // 8)), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def text_bomb(rng: random.Random) -> bytes:
    """A PNG whose comment is hundreds of megabytes when decompressed."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    comment = b"Comment\x00\x00" + zlib.compress(b"a" * rng.choice([10**6, 3 * 10**8]), 9)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"zTXt", comment) + png_chunk(b"IDAT", zlib.compress(b"\x00" * 20))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def thin(rng: random.Random) -> bytes:
    """A whole photo of one pixel, or of an extreme shape."""
    size = rng.choice([(1, 1), (1, 20000), (20000, 1), (2, 5000), (5000, 2), (1, 2)])
    return encode(rng, rng.choice(["JPEG", "PNG", "TIFF"]), rng.choice(["L", "RGB"]), size)


def no_photo(rng: random.Random) -> bytes:
    """Something else under a photo's name."""
    return rng.choice([*NOT_PHOTOS, rng.randbytes(rng.randint(1, 5000))])


CONTENTS: dict[str, Callable[[random.Random], bytes]] = {
    "whole": any_photo,
    "truncated": truncated,
    "bits flipped": flipped,
    "spliced": spliced,
    "bomb": bomb,
    "bomb in a comment": text_bomb,
    "extreme shape": thin,
    "no photo": no_photo,
}
WEIGHTS = (3, 4, 6, 3, 1, 0.5, 1, 2)
STEMS = ("photo", "a b", "new\nline", "esc\x1b[31m", "ü" * 60, "-", "%s", "a[1]", "x" * 240)


def special(rng: random.Random, folder: Path) -> tuple[str, Path]:
    """A path that is no regular file."""
    path = folder / "special.jpg"
    kind = rng.choice(["pipe", "socket", "folder", "link to nothing", "circular link", "link to a device", "link to a photo"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as unix:
            here = os.getcwd()
            os.chdir(folder)  # a socket's path may have 108 bytes only
            unix.bind(path.name)
            os.chdir(here)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a photo":
        (folder / "real.png").write_bytes(encode(rng, "PNG", "RGB"))
        path.symlink_to("real.png")
    else:
        path.symlink_to({"link to nothing": "nowhere", "circular link": path.name}.get(kind, rng.choice(["/dev/zero", "/dev/null"])))
    return kind, path


def write_photo(rng: random.Random, folder: Path) -> tuple[str, Path]:
    """Write one file; what it is, and its path."""
    if rng.random() < 0.1:
        return special(rng, folder)
    kind = rng.choices(list(CONTENTS), WEIGHTS)[0]
    content = CONTENTS[kind](rng)
    stem = rng.choice(STEMS) if rng.random() < 0.2 else "photo"
    path = folder / f"{stem}{rng.choice(SUFFIXES)}"
    if rng.random() < 0.05:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/not-utf8-\xff.jpg"))
    path.write_bytes(content)
    return kind, path
