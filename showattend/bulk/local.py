"""Units through one process and its workers, without Ray."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from showattend.bulk.begun import BegunUnits
from showattend.bulk.captioning import ChunkCaptioner
from showattend.bulk.chunks import CaptionedChunk, DecodedChunk
from showattend.bulk.decoding import UnitDecoder
from showattend.bulk.units import RemainingUnits, Unit
from showattend.features.decoded_photos import usable_workers

PREFETCH = 4  # chunks that a worker process decodes ahead


class DecodedUnits(IterableDataset[DecodedChunk]):
    """The chunks of units; of several worker processes each decodes units of its own. One that was begun before is decoded in isolation."""

    def __init__(self, units: RemainingUnits, decoder: UnitDecoder, begun: BegunUnits) -> None:
        self.units, self.decoder, self.begun = units, decoder, begun

    def __iter__(self) -> Iterator[DecodedChunk]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for index, line in self.units.share(first, step):
            yield from self.decoder(index, Unit.from_json(line), isolated=self.begun.begin(index))


def run_local(
    units: RemainingUnits, decoder: UnitDecoder, captioner: ChunkCaptioner, workers: int, begun: BegunUnits
) -> Iterator[CaptionedChunk]:
    """Caption units in the order of the plan, but for that of several workers.

    Args:
        begun: whoever writes their parts tells it
        workers: processes that read and decode ahead
    """
    workers = usable_workers(min(workers, len(units)))
    options: dict[str, Any] = {"num_workers": workers, "prefetch_factor": PREFETCH} if workers else {}
    # Chunks stay as they are: torch would send tensors through shared memory, which containers have little of.
    chunks = DataLoader(DecodedUnits(units, decoder, begun), batch_size=None, collate_fn=_as_it_is, **options)
    yield from captioner(chunks)


def _as_it_is(chunk: Any) -> Any:
    return chunk
