"""Units to decoded chunks. torch is not needed, so that a process that only decodes starts fast and stays small."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from showattend.bulk.chunks import DecodedChunk, Place
from showattend.bulk.isolation import ChildDied, run_in_child
from showattend.bulk.reading import Found, in_groups, read_unit
from showattend.bulk.tables import Columns
from showattend.bulk.units import Unit
from showattend.console import encodable
from showattend.data.images import BrokenImage
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError


class Pixels(NamedTuple):
    """Decoded photos, see `DecodedChunk`."""

    pixels: NDArray[np.uint8]
    sizes: list[tuple[int, int]]
    reasons: list[str]


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
        decode = self._decode_isolated if isolated else self._decode
        try:
            for group, last in in_groups(read_unit(unit, self.columns), self.batch_size):
                yield self._chunk(Place(index, start, last), group, decode(group))
                start += len(group)
        except InputError as error:
            yield self.failed(index, str(error))

    def failed(self, index: int, reason: str) -> DecodedChunk:
        """The chunk of a unit with which the work cannot go on."""
        return DecodedChunk(Place(index, 0, True), [], *self._blank(0), reason)

    def _chunk(self, place: Place, group: Sequence[Found], decoded: Pixels) -> DecodedChunk:
        return DecodedChunk(place, [encodable(found.id) for found in group], *decoded)

    def _decode(self, group: Sequence[Found]) -> Pixels:
        pixels, sizes, reasons = self._blank(len(group))
        for row, found in enumerate(group):
            try:
                pixels[row], sizes[row] = self._load(found)
            except BrokenImage as error:
                reasons[row] = encodable(str(error))
        return Pixels(pixels, sizes, reasons)

    def _decode_isolated(self, group: Sequence[Found]) -> Pixels:
        """In one process together, and after its death each in one of its own."""
        try:
            return run_in_child(self._decode, group)
        except ChildDied as death:
            if len(group) == 1:
                reason = f"{group[0].id}: the process that decodes it dies ({death})"
                return self._blank(1)._replace(reasons=[encodable(reason)])
        ones = [self._decode_isolated([found]) for found in group]
        return Pixels(np.concatenate([one.pixels for one in ones]), [one.sizes[0] for one in ones], [one.reasons[0] for one in ones])

    def _blank(self, count: int) -> Pixels:
        side = self.preprocessing.image_size
        return Pixels(np.zeros((count, 3, side, side), np.uint8), [(side, side)] * count, [""] * count)

    def _load(self, found: Found) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        if found.error:
            raise BrokenImage(found.error)
        if found.content is not None:
            return self.preprocessing.content_to_array(found.content, found.id)
        assert found.path is not None
        return self.preprocessing.load_array(found.path)
