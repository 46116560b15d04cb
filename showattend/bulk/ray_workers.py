"""What Ray's workers run: tasks that decode, which load no torch, and actors that caption."""

import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from showattend.bulk.chunks import CaptionedChunk, Place
from showattend.bulk.decoding import UnitDecoder
from showattend.bulk.ray_chunks import pack_captioned, pack_decoded, unpack_decoded
from showattend.bulk.units import Unit
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig

MAX_ATTEMPTS = 20  # of a unit: machines may die, and from the second one on no photo can kill the process


class UnitAttempts:
    """An actor that counts how often each unit was begun: Ray repeats a task whose process dies, and does not say how often."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def begin(self, unit: int) -> int:
        """How often a unit was begun before."""
        self.counts[unit] += 1
        return self.counts[unit] - 1


def decode_units(batch: Any, decoder: UnitDecoder, attempts: Any) -> Iterator[Any]:
    """Units, compressed lines of the plan with their numbers, to decoded chunks, one a row.

    Args:
        attempts: Ray's handle of `UnitAttempts`
    """
    import ray

    for index, line in zip(batch.column("unit").to_pylist(), batch.column("line").to_pylist(), strict=True):
        before = ray.get(attempts.begin.remote(index))
        unit = Unit.from_json(zlib.decompress(line))
        if before < MAX_ATTEMPTS:
            yield from map(pack_decoded, decoder(index, unit, isolated=before > 0))
        else:
            reason = f"processes that read the part {index} of the photos were killed {before} times, perhaps for want of memory"
            yield pack_decoded(decoder.failed(index, f"{reason}: give Ray fewer processors, or machines with more memory"))


class CaptionActor:
    """A captioner that lives as long as the work: decoded chunks to captioned ones.

    Args:
        recipe: Ray's reference to a `CaptionerRecipe`
    """

    def __init__(self, recipe: Any, config: GenerationConfig, alphas: bool, device: str) -> None:
        import ray

        from showattend.bulk.captioning import ChunkCaptioner

        recipe, self.fatal = ray.get(recipe), ""
        self.side = recipe.model.preprocessing.image_size
        try:
            self.caption = ChunkCaptioner(recipe.build(device, config), config, alphas)
        except InputError as error:  # which Ray would only repeat
            self.fatal = str(error)

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Rows for some chunks."""
        if self.fatal:
            yield pack_captioned(CaptionedChunk(Place(0, 0, True), [], self.fatal))
            return
        yield from map(pack_captioned, self.caption(unpack_decoded(batch, self.side)))
