"""Units to decoded chunks. torch is not needed, so that a process that only decodes starts fast and stays small."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from showattend.bulk.chunks import DecodedChunk, Place
from showattend.bulk.reading import Found, in_groups, read_unit
from showattend.bulk.tables import Columns
from showattend.bulk.units import Unit
from showattend.console import encodable
from showattend.data.images import BrokenImage
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.isolation import run_in_children


class Decoded(NamedTuple):
    """Pixels (3,S,S) of a photo, width and height, and the reason why it is broken, or an empty one."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    reason: str = ""


class UnitDecoder(NamedTuple):
    """How units are read and decoded."""

    preprocessing: Preprocessing
    columns: Columns
    batch_size: int

    def __call__(self, index: int, unit: Unit, *, isolated: bool = False) -> Iterator[DecodedChunk]:
        """The chunks of a unit, each as soon as it is decoded; of a store that cannot be reached one chunk that says so.

        Args:
            isolated: decode in processes of their own, so that a photo that kills them is a broken one
        """
        start = 0
        try:
            for group, last in in_groups(read_unit(unit, self.columns), self.batch_size):
                decoded = run_in_children(self._decode, group, self._broken) if isolated else self._decode(group)
                yield self._chunk(Place(index, start, last), group, decoded)
                start += len(group)
        except InputError as error:
            yield self.failed(index, str(error))

    def failed(self, index: int, reason: str) -> DecodedChunk:
        """The chunk of a unit with which the work cannot go on."""
        return self._chunk(Place(index, 0, True), [], [])._replace(fatal=reason)

    def _chunk(self, place: Place, group: Sequence[Found], decoded: Sequence[Decoded]) -> DecodedChunk:
        side = self.preprocessing.image_size
        pixels = np.stack([one.pixels for one in decoded]) if decoded else np.zeros((0, 3, side, side), np.uint8)
        sizes, reasons = [one.size for one in decoded], [encodable(one.reason) for one in decoded]
        return DecodedChunk(place, [encodable(found.id) for found in group], pixels, sizes, reasons)

    def _decode(self, group: Sequence[Found]) -> list[Decoded]:
        return [self._decode_one(found) for found in group]

    def _decode_one(self, found: Found) -> Decoded:
        try:
            return Decoded(*self._load(found))
        except BrokenImage as error:
            return self._blank(str(error))

    def _broken(self, found: Found, death: str) -> Decoded:
        return self._blank(f"{found.id}: {death}")

    def _blank(self, reason: str) -> Decoded:
        side = self.preprocessing.image_size
        return Decoded(np.zeros((3, side, side), np.uint8), (side, side), reason)

    def _load(self, found: Found) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        if found.error:
            raise BrokenImage(found.error)
        if found.content is not None:
            return self.preprocessing.content_to_array(found.content, found.id)
        assert found.path is not None
        return self.preprocessing.load_array(found.path)
