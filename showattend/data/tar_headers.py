"""Reads tar files from strangers.

Python's `tarfile` reads headers whole, however large, keeps those of all members, recurses from one to the next, and ends without a word at
one that is damaged.
"""

import tarfile
from typing import Any, NoReturn

MAX_HEADERS = 2**20  # bytes of long names and further attributes before one member, and of those that hold for all members
GLOBAL = tarfile.XGLTYPE
LONG_HEADERS = (GLOBAL, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
LONG_HEADERS_OF_A_MEMBER = 8  # a long name, a long link, attributes of two kinds, with room


class _Member(tarfile.TarInfo):
    """A member whose headers are refused where they are longer or more than any name needs, and so are files with holes."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header after {tarfile_.offset} bytes ({error})") from error

    def _proc_member(self, tarfile_: "BoundedTarFile") -> tarfile.TarInfo:
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


class BoundedTarFile(tarfile.TarFile):
    """A tar file that is read once from front to back in bounded memory; open it with mode `r|*`.

    What is too large is a `tarfile.ReadError`.
    """

    tarinfo = _Member
    _of_member, _of_all, _in_a_row = 0, 0, 0

    def next(self) -> tarfile.TarInfo | None:
        """The next member; those before it are forgotten."""
        self._of_member = self._in_a_row = 0
        member = super().next()
        self.members.clear()  # type: ignore[attr-defined]
        return member

    def count_header(self, header: tarfile.TarInfo) -> None:
        """Refuse a header that is too long, alone or with those before it."""
        self._in_a_row += 1
        self._of_member += header.size
        self._of_all += header.size if header.type == GLOBAL else 0
        if self._in_a_row > LONG_HEADERS_OF_A_MEMBER:
            raise tarfile.ReadError(f"more than {LONG_HEADERS_OF_A_MEMBER} headers in a row")
        if max(self._of_member, self._of_all) > MAX_HEADERS:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
