"""Blocks in random order: every photo once, another order each epoch, neighbours read in one go and before they are needed."""

import pytest

from showattend.data.block_shuffle import BLOCK, BlockShuffledBatches, buffer_for

COUNT, BATCH, BUFFER = 1000, 7, 4 * BLOCK
PHOTOS: list[tuple[int, int | None]] = [(photo, None) for photo in range(COUNT)]


def orders(buffer: int, epoch: int = 0, first: int = 0) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The photos of an epoch, and the blocks that were announced: first row, rows, and how many photos had come before."""
    announced: list[tuple[int, int, int]] = []
    seen: list[int] = []
    batches = BlockShuffledBatches(PHOTOS, BATCH, 3, buffer, lambda begin, count: announced.append((begin, count, len(seen))))
    batches.resume(epoch, first)
    for batch in batches:
        assert len(batch) <= BATCH
        seen += [key.photo for key in batch]
    return seen, announced


@pytest.mark.parametrize("buffer", [1, BLOCK, BUFFER, 10 * COUNT])
def test_each_photo_comes_once_in_an_order_of_the_epoch(buffer: int) -> None:
    first, second = orders(buffer)[0], orders(buffer, epoch=1)[0]
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert orders(buffer)[0] == first


def test_a_buffer_of_photos_comes_from_as_many_blocks() -> None:
    seen, _ = orders(BUFFER)
    for begin in range(0, COUNT - BUFFER, BUFFER):
        buffer = seen[begin : begin + BUFFER]
        assert len({photo // BLOCK for photo in buffer}) <= 5  # the last block of the photos is shorter
        assert buffer != sorted(buffer)


def test_each_block_is_announced_once_before_its_first_photo() -> None:
    seen, announced = orders(BUFFER)
    assert sorted(range_ for begin, count, _ in announced for range_ in range(begin, begin + count)) == list(range(COUNT))
    for begin, count, before in announced:
        first_use = min(index for index, photo in enumerate(seen) if begin <= photo < begin + count)
        assert before <= first_use
        assert first_use - before <= 3 * BUFFER, "too early: memory would not hold it"


def test_a_resumed_epoch_goes_on_and_announces_only_what_is_left() -> None:
    whole, _ = orders(BUFFER, epoch=2)
    rest, announced = orders(BUFFER, epoch=2, first=100)
    assert rest == whole[100 * BATCH :]
    assert sum(count for _, count, _ in announced) < COUNT - BUFFER
    assert set(rest) <= {row for begin, count, _ in announced for row in range(begin, begin + count)}


def test_the_buffer_is_as_large_as_memory_allows() -> None:
    assert buffer_for(rows=10**6, nbytes=10**6) == 0
    rows = 10**9
    assert BLOCK < buffer_for(rows, nbytes=10**15) < rows
