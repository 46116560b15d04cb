"""Reads tar files from strangers.

Python's `tarfile` reads headers whole, however large, keeps those of all members, recurses from one to the next, and ends without a word at
one that is damaged, or where the file was cut off. Of a file that gzip packed it does not compare the check sum.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

# Bytes of long names and further attributes before one member, and of those that hold for all members: four times the longest path.
# Python's regular expression for them takes the square of their number (CVE-2024-6232).
MAX_HEADERS = 2**14
GLOBAL = tarfile.XGLTYPE
LONG_HEADERS = (GLOBAL, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
LONG_HEADERS_OF_A_MEMBER = 8  # a long name, a long link, attributes of two kinds, with room


# How a compressed file begins, and what reads it, its check sum included.
DECOMPRESSORS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
DAMAGE = (tarfile.TarError, EOFError, ValueError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)  # what a damaged file raises


class _Member(tarfile.TarInfo):
    """A member whose headers are refused where they are longer or more than any name needs, and so are files with holes."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"it is cut off after {tarfile_.offset} bytes: download or copy it again") from error
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header after {tarfile_.offset} bytes ({error})") from error

    def _proc_member(self, tarfile_: "BoundedTarFile") -> tarfile.TarInfo:
        if self.size < 0:
            raise tarfile.ReadError(f"a member of {self.size} bytes")
        if self.type in LONG_HEADERS:
            tarfile_.count_header(self)
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_holes()
        member: tarfile.TarInfo = super()._proc_member(tarfile_)  # type: ignore[misc]
        return member

    def _refuse_holes(self, *arguments: Any) -> NoReturn:
        raise tarfile.ReadError("a file with holes: pack it without --sparse")

    # The three ways in which attributes may list the holes of a file.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_holes


class _Stream(io.RawIOBase):
    """What can be read and not rewound, such as a download, as `io.BufferedReader` takes it."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def read_tar(file: Any) -> "BoundedTarFile":
    """A tar file, or one that gzip, bzip2 or xz packed, to be read once from front to back.

    Args:
        file: open, of bytes

    Raises:
        one of DAMAGE, as does reading on: it is damaged, cut off or no tar file.
    """
    buffered = io.BufferedReader(_Stream(file))
    beginning = buffered.peek(tarfile.BLOCKSIZE)
    decompress = next((each for magic, each in DECOMPRESSORS.items() if beginning.startswith(magic)), None)
    return BoundedTarFile.open(fileobj=decompress(buffered) if decompress else buffered, mode="r|")


class BoundedTarFile(tarfile.TarFile):
    """A tar file that is read once from front to back in bounded memory, see `read_tar`.

    What is too large is a `tarfile.ReadError`.
    """

    tarinfo = _Member
    _bytes_of_member, _bytes_of_all, _in_a_row = 0, 0, 0

    def next(self) -> tarfile.TarInfo | None:
        """The next member; those before it are forgotten."""
        self._bytes_of_member = self._in_a_row = 0
        member = super().next()
        self.members.clear()  # type: ignore[attr-defined]
        if member is None:
            self._check_end()
        return member

    def _check_end(self) -> None:
        """Nothing but zeros may follow the empty block that ends the members: an empty header in the middle looks the same."""
        file: Any = self.fileobj
        while block := file.read(tarfile.RECORDSIZE):
            if block.strip(b"\0"):
                raise tarfile.ReadError("more members behind an empty header: it is damaged there")

    def count_header(self, header: tarfile.TarInfo) -> None:
        """Refuse a header that is too long, alone or with those before it."""
        self._in_a_row += 1
        self._bytes_of_member += header.size
        self._bytes_of_all += header.size if header.type == GLOBAL else 0
        if self._in_a_row > LONG_HEADERS_OF_A_MEMBER:
            raise tarfile.ReadError(f"more than {LONG_HEADERS_OF_A_MEMBER} headers in a row: pack it anew")
        if (size := max(self._bytes_of_member, self._bytes_of_all)) > MAX_HEADERS:
            raise tarfile.ReadError(f"{size} bytes of headers, and at most {MAX_HEADERS} are read: pack it anew")
