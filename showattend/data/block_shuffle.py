"""Random order for a cache that memory cannot hold: blocks of neighbouring rows, a buffer full of which is shuffled at a time.

Reading one row here and one there makes a disk seek for each of them. A block is read in one go, and those of the next buffer while
the network works on this one.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch

from showattend.data.batches import SampleKey, TrainingBatches

BLOCK = 64  # neighbouring rows that are read in one go
MEMORY_SHARE = 0.75  # of the machine's memory, that the rows may take before they are read in blocks
BUFFER_SHARE = 0.125  # two buffers are in memory, and the system keeps files that it might do without


def buffer_for(rows: int, nbytes: int) -> int:
    """How many rows to shuffle at a time: 0, all of them, if memory holds them; else as many as an eighth of it holds.

    Args:
        nbytes: of all rows
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0 if nbytes <= MEMORY_SHARE * memory else max(BLOCK, int(rows * BUFFER_SHARE * memory / nbytes))


class BlockShuffledBatches(TrainingBatches):
    """Batches in random order, in which nearby batches have their photos from the same blocks.

    Args:
        photos: pairs of the one group
        buffer: photos that are shuffled together
        read_ahead: called with the first row and the number of rows of each block, a buffer before it is needed
    """

    def __init__(
        self, photos: Sequence[tuple[int, int | None]], batch_size: int, seed: int, buffer: int, read_ahead: Callable[[int, int], None]
    ) -> None:
        super().__init__([photos], batch_size, seed)
        self.blocks_at_a_time = max(1, buffer // BLOCK)
        self.read_ahead = read_ahead
        self.buffers: list[list[range]] = []

    def _order(self, count: int, rng: torch.Generator) -> list[int]:
        blocks = [range(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK)]
        shuffled = [blocks[i] for i in torch.randperm(len(blocks), generator=rng).tolist()]
        self.buffers = [shuffled[begin : begin + self.blocks_at_a_time] for begin in range(0, len(shuffled), self.blocks_at_a_time)]
        order: list[int] = []
        for buffer in self.buffers:
            rows = [row for block in buffer for row in block]
            order += [rows[i] for i in torch.randperm(len(rows), generator=rng).tolist()]
        return order

    def __iter__(self) -> Iterator[list[SampleKey]]:
        batches = super().__iter__()
        ends = itertools.accumulate(sum(map(len, buffer)) for buffer in self.buffers)
        waiting = deque(zip(ends, self.buffers, strict=True))
        done = self.first_batch * self.batch_size
        for batch in batches:
            # The buffer that this batch is from, and the next one.
            while waiting and waiting[0][0] <= done + 2 * self.blocks_at_a_time * BLOCK:
                end, buffer = waiting.popleft()
                for block in buffer if end > done else []:
                    self.read_ahead(block.start, len(block))
            done += len(batch)
            yield batch
