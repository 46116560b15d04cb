"""Units to decoded chunks. torch is not needed, so that a process that only decodes starts fast and stays small."""

from collections.abc import Iterator
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


class UnitDecoder(NamedTuple):
    """How units are read and decoded."""

    preprocessing: Preprocessing
    columns: Columns
    batch_size: int

    def __call__(self, index: int, unit: Unit) -> Iterator[DecodedChunk]:
        """The chunks of a unit, each as soon as it is decoded; of a store that cannot be reached one chunk that says so."""
        start = 0
        try:
            for group, last in in_groups(read_unit(unit, self.columns), self.batch_size):
                yield self._chunk(Place(index, start, last), group)
                start += len(group)
        except InputError as error:
            yield self._chunk(Place(index, start, True), [])._replace(fatal=str(error))

    def _chunk(self, place: Place, group: list[Found]) -> DecodedChunk:
        side = self.preprocessing.image_size
        pixels = np.zeros((len(group), 3, side, side), np.uint8)
        sizes, reasons = [(side, side)] * len(group), [""] * len(group)
        for row, found in enumerate(group):
            try:
                pixels[row], sizes[row] = self._load(found)
            except BrokenImage as error:
                reasons[row] = encodable(str(error))
        return DecodedChunk(place, [encodable(found.id) for found in group], pixels, sizes, reasons)

    def _load(self, found: Found) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        if found.error:
            raise BrokenImage(found.error)
        if found.content is not None:
            return self.preprocessing.content_to_array(found.content, found.id)
        assert found.path is not None
        return self.preprocessing.load_array(found.path)
