"""Photo files as a data set of pixels, for the cache and for captioning."""

import multiprocessing
import os
import re
import resource
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.random  # loaded before worker processes start, whose memory may be limited
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from showattend.batching import in_batches
from showattend.data.images import BrokenImage
from showattend.data.transforms import Preprocessing
from showattend.isolation import run_in_children

WORKER_DIED = re.compile(r"DataLoader worker \(pid")  # what torch says when one was killed or has crashed


class Decoded(NamedTuple):
    """Pixels (3,S,S) of a photo with its own width and height; of a broken one zeros, with the reason."""

    image: Tensor
    size: tuple[int, int]
    reason: str


class DecodedPhotos(Dataset[Decoded]):
    """Photo files by their paths, preprocessed; a broken file is an item with a reason, not an exception."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __getitem__(self, path: Path) -> Decoded:
        try:
            return Decoded(*self.preprocessing.load(path), "")
        except BrokenImage as error:
            return self._blank(str(error))

    def decode(self, paths: Sequence[Path]) -> list[Decoded]:
        """Several photos."""
        return [self[path] for path in paths]

    def broken(self, path: Path, reason: str) -> Decoded:
        """The item of a photo that cannot be decoded at all."""
        return self._blank(f"{path}: {reason}")

    def _blank(self, reason: str) -> Decoded:
        side = self.preprocessing.image_size
        return Decoded(torch.from_numpy(np.zeros((3, side, side), np.uint8)), (side, side), reason)


class DecodedBatch(NamedTuple):
    """Pixels (N,3,S,S), width and height of each photo, and the reason why it is broken, or an empty one."""

    pixels: Tensor
    sizes: list[tuple[int, int]]
    reasons: list[str]


def decoded_batches(
    paths: Iterable[Path], preprocessing: Preprocessing, batch_size: int, workers: int, generator: torch.Generator | None = None
) -> Iterator[DecodedBatch]:
    """Photo files in batches, in order; paths are taken as there is need of them, so that any number of them may follow.

    Where a worker process dies, the photos that it may have had are decoded in isolation: one that kills its process is a broken one.

    Args:
        workers: processes that read ahead; none where too few files may be open for them
        generator: what the loader draws its seed from; None: torch's global one
    """
    photos, workers = DecodedPhotos(preprocessing), usable_workers(workers)
    remaining, begun = in_batches(paths, batch_size), deque[list[Path]]()
    while True:
        loader = DataLoader(photos, batch_sampler=_noted(remaining, begun), num_workers=workers, collate_fn=_as_arrays, generator=generator)
        try:
            batches = iter(loader)
            with _deaths_noticed_by_the_loader():
                for arrays in batches:
                    begun.popleft()
                    yield _as_batch(*arrays)
            return
        except RuntimeError as error:
            if not WORKER_DIED.search(str(error)):
                raise
        while begun:
            yield _as_batch(*_as_arrays(run_in_children(photos.decode, begun.popleft(), photos.broken)))


@contextmanager
def _deaths_noticed_by_the_loader() -> Iterator[None]:
    """Without torch's handler of SIGCHLD, which raises an error wherever the program is: the loader looks for dead workers every 5 s."""
    try:
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def _noted(batches: Iterator[list[Path]], begun: deque[list[Path]]) -> Iterator[list[Path]]:
    for batch in batches:
        begun.append(batch)
        yield batch


def _as_batch(pixels: NDArray[np.uint8], sizes: list[tuple[int, int]], reasons: list[str]) -> DecodedBatch:
    return DecodedBatch(torch.from_numpy(pixels), sizes, reasons)


def usable_workers(workers: int) -> int:
    """So many worker processes, or 0 where the system refuses their locks, or too few files may be open (ulimit -n) for their pipes."""
    if workers:
        try:
            multiprocessing.Lock()
        except OSError:  # ulimit -f 0, or no /dev/shm
            return 0
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return workers
    try:
        already_open = len(os.listdir("/proc/self/fd"))
    except OSError:  # no Linux, or not even this folder can be opened
        already_open = 16
    return workers if limit - already_open >= 32 + 16 * workers else 0


def _as_arrays(photos: list[Decoded]) -> tuple[NDArray[np.uint8], list[tuple[int, int]], list[str]]:
    """A batch that goes through a pipe: torch would send tensors through shared memory, which containers have little of."""
    return np.stack([photo.image.numpy() for photo in photos]), [photo.size for photo in photos], [photo.reason for photo in photos]
