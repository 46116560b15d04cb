"""Any number of items in lists of one size."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Items in lists of one size, but for the last, taken as there is need of them (`itertools.batched` of Python 3.12)."""
    remaining = iter(items)
    return iter(lambda: list(islice(remaining, batch_size)), [])
