"""Annotations of photos as fast as the processor can, for the cache and for captions."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from showattend.encoders.base import Encoder

# Photos that a core looks at together: the maps of more would not stay in its caches.
MICRO_BATCH = 4
# Photos that an encoder sees faster when it is folded, by as much as folding takes.
FOLD_AFTER = 8

EncoderOutput = tuple[Tensor, tuple[int, int]]  # annotations (N,L,D), and the grid's rows and columns
Item = TypeVar("Item")


class FeatureExtractor:
    """An encoder that only looks; its annotations are the encoder's up to float tolerance.

    It is folded as soon as it has seen so many photos that folding would have paid. On a CPU each of torch's threads looks at some
    photos of its own: threads that share a layer wait at its end for one another, and so for whoever uses the core of one of them.

    Args:
        encoder: in eval mode, and not to change afterwards
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.seen = 0
        self.on_cpu = encoder.mean.device.type == "cpu"
        self.threads = torch.get_num_threads() if self.on_cpu else 1

    def __call__(self, images: Tensor) -> EncoderOutput:
        """As `Encoder.forward`, in inference mode."""
        return self.submit(images)()

    def submit(self, images: Tensor) -> Callable[[], EncoderOutput]:
        """Look while others work; what is returned waits for the end and gives what was seen.

        Args:
            images: RGB bytes, (N,3,S,S)
        """
        before, self.seen = self.seen, self.seen + len(images)
        if before < FOLD_AFTER <= self.seen:
            self.encoder = self.encoder.with_folded_batchnorm()
        parts = images.split(MICRO_BATCH if self.on_cpu else len(images))
        looks = map(self._look, parts) if min(len(parts), self.threads) == 1 else self._side_by_side.map(self._look, parts)
        return partial(self._collect, looks)

    @torch.inference_mode()
    def _look(self, images: Tensor) -> EncoderOutput:
        found: EncoderOutput = self.encoder(images)
        return found

    def _collect(self, looks: Iterable[EncoderOutput]) -> EncoderOutput:
        encoder_features, (grid, *_) = zip(*looks, strict=True)
        return torch.cat(encoder_features), grid

    @cached_property
    def _side_by_side(self) -> ThreadPoolExecutor:
        """As many threads as torch has, each of which gives torch one."""
        pool, begun = ThreadPoolExecutor(self.threads, "look", torch.set_num_threads, (1,)), Barrier(self.threads)
        list(pool.map(lambda _: begun.wait(), range(self.threads)))
        # What they have set is theirs, but also that of every thread that comes after them.
        torch.set_num_threads(self.threads)
        return pool


def prefetch_one(items: Iterable[Item]) -> Iterator[Item]:
    """Each item as soon as the next one has been fetched: whatever that began goes on meanwhile."""
    waiting: list[Item] = []
    for item in items:
        yield from waiting
        waiting = [item]
    yield from waiting
