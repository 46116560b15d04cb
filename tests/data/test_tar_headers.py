"""Tar files from strangers: whatever their headers say, little memory is used, and damage is said."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from showattend.data.tar_headers import DAMAGE, read_tar


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with its content, in blocks."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def attributes(**values: str) -> bytes:
    """The content of a header with further attributes, one line each: its own length, name, value."""
    lines = b""
    for name, value in values.items():
        rest = f" {name}={value}\n"
        length = len(rest) + 1
        while len(f"{length}{rest}") != length:
            length += 1
        lines += f"{length}{rest}".encode()
    return lines


def negative() -> bytes:
    """A long name of less than no bytes: what Python adds up, and reads, as if there were room for more."""
    info = tarfile.TarInfo("n")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, -(2**40)
    return info.tobuf(tarfile.GNU_FORMAT)


def names(path: Path, blocks: Sequence[bytes]) -> list[str]:
    return names_in(path, b"".join(blocks) + b"\0" * 2 * tarfile.BLOCKSIZE)


def names_in(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    with path.open("rb") as file, read_tar(file) as tar:
        return [entry.name for entry in tar]


def test_usual_headers_are_read_in_all_three_formats(tmp_path: Path) -> None:
    long = "folder/" * 30 + "é" * 40 + ".jpg"
    for number, format in enumerate((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        expected = ["a.jpg", "b" * 90] if format == tarfile.USTAR_FORMAT else ["a.jpg", long]
        with tarfile.open(tmp_path / f"{number}.tar", "w", format=format) as tar:
            for name in expected:
                info = tarfile.TarInfo(name)
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
        with (tmp_path / f"{number}.tar").open("rb") as file, read_tar(file) as tar:
            found = [(entry.name, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]
            assert found == [(name, b"abc") for name in expected]
            assert len(tar.getmembers()) == 0, "those that were read are forgotten"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (lambda: [member("l", b"name", tarfile.GNUTYPE_LONGNAME)] * 5000, "headers in a row"),
        (lambda: [member("p", attributes(comment="x"), tarfile.XHDTYPE)] * 5000, "headers in a row"),
        (lambda: [member("p", attributes(comment="x" * 2**15), tarfile.XHDTYPE)], "bytes of headers"),
        (lambda: [member("p", attributes(comment="x" * 2**13), tarfile.XHDTYPE)] * 3, "bytes of headers"),
        (lambda: [negative()], "a member of -"),
        (lambda: [b"\0" * tarfile.BLOCKSIZE, member("b")], "behind an empty header"),
        (
            lambda: [
                block
                for number in range(20)
                for block in (member("g", attributes(**{f"k{number}": "x" * 2**10}), tarfile.XGLTYPE), member("a"))
            ],
            "bytes of headers",
        ),
        (lambda: [member("s", b"", tarfile.GNUTYPE_SPARSE)], "a file with holes"),
        (lambda: [member("p", attributes(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), tarfile.XHDTYPE)], "a file with holes"),
        (lambda: [member("p", attributes(**{"GNU.sparse.map": "0,1"}), tarfile.XHDTYPE)], "a file with holes"),
        (lambda: [member("b").replace(b"ustar", b"xxxxx")], "a damaged header after 1024 bytes"),
    ],
)
def test_headers_without_end_are_refused_and_so_are_damaged_ones(headers: Callable[[], list[bytes]], message: str, tmp_path: Path) -> None:
    with pytest.raises(tarfile.ReadError, match=message):
        names(tmp_path / "a.tar", [member("first"), *headers(), member("last")])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gzip", "bzip2", "xz"])
def test_a_cut_is_said_wherever_it_is_and_so_is_damage_to_what_is_packed(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    rng = random.Random(0)
    plain = b"".join([*(member(f"{number}.jpg", rng.randbytes(700)) for number in range(5)), b"\0" * 2 * tarfile.BLOCKSIZE])
    packed, path = pack(plain), tmp_path / "a.tar"
    found = names_in(path, packed)
    assert found == [f"{number}.jpg" for number in range(5)]
    ends = range(tarfile.BLOCKSIZE, len(plain) - 2 * tarfile.BLOCKSIZE, tarfile.BLOCKSIZE) if pack is bytes else range(40, len(packed), 97)
    for end in ends:
        with pytest.raises(DAMAGE):
            names_in(path, packed[:end])
    if pack is not bytes:
        for place in range(len(packed) // 3, len(packed) - 8, 211):
            with pytest.raises((*DAMAGE, OSError)):
                names_in(path, packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :])
