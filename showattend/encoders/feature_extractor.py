"""Features of photos from a frozen encoder, at full speed, for the cache and for captions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from showattend.encoders.base import Encoder, EncoderOutput
from showattend.ops.threads import torch_threads

# Photos that a core computes together: the feature maps of more would not stay in its caches.
MICRO_BATCH = 4
# From so many photos on, a folded encoder saves the time that folding takes.
FOLD_AFTER = 8

Item = TypeVar("Item")


class FeatureExtractor:
    """Inference with a frozen encoder: batch normalisation folded, small batches in parallel. Features are equal up to rounding.

    Batch normalisation is folded as soon as the encoder has computed so many photos that folding would have paid; in 16 bits at once, or
    the features of a photo would depend on how many came before it. On a CPU each of torch's threads computes some photos of its own, for
    threads that share a layer wait for each other at its end; the thread that waits for the features is one of them.

    Args:
        encoder: in eval mode, and not to be changed afterwards
        dtype: 16 bits, of the features and of the operands of its convolutions and products; None: that of the encoder's weights
    """

    def __init__(self, encoder: Encoder, dtype: torch.dtype | None = None) -> None:
        self.encoder = encoder
        self.dtype = dtype
        self.photos_computed = 0
        self.fold_after = FOLD_AFTER if dtype is None else 1
        self.device = encoder.mean.device
        self.on_cpu = self.device.type == "cpu"
        self.threads = torch.get_num_threads() if self.on_cpu else 1

    def __call__(self, pixels: Tensor) -> EncoderOutput:
        """As `Encoder.forward`, in inference mode."""
        return self.submit(pixels)()

    def submit(self, pixels: Tensor) -> Callable[[], EncoderOutput]:
        """Start to compute in the background.

        Args:
            pixels: RGB bytes, (N,3,S,S)

        Returns:
            a function that waits for the end and returns the features
        """
        before, self.photos_computed = self.photos_computed, self.photos_computed + len(pixels)
        if before < self.fold_after <= self.photos_computed:
            self.encoder = self.encoder.for_inference(self.dtype)
        parts = pixels.to(self.device).split(MICRO_BATCH if self.on_cpu else len(pixels))
        if min(len(parts), self.threads) == 1:
            return partial(self._collect, map(self._compute, parts))
        return partial(self._collect, self._with_own_share(parts, [self._pool.submit(self._compute, part) for part in parts]))

    @torch.inference_mode()
    def _compute(self, pixels: Tensor) -> EncoderOutput:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None, cache_enabled=False):
            output: EncoderOutput = self.encoder(pixels)
        return output._replace(features=output.features.to(self.dtype)) if self.dtype else output

    def _with_own_share(self, parts: Sequence[Tensor], futures: Sequence[Future[EncoderOutput]]) -> Iterator[EncoderOutput]:
        """The features of the parts; those that no other thread has begun when they are asked for are computed here, the last one first."""
        with torch_threads(1):
            pairs = zip(parts[::-1], futures[::-1], strict=True)
            own = [self._compute(part) for part, future in pairs if future.cancel()]
        yield from (future.result() for future in futures[: len(futures) - len(own)])
        yield from own[::-1]

    def _collect(self, outputs: Iterable[EncoderOutput]) -> EncoderOutput:
        features, (grid_shape, *_) = zip(*outputs, strict=True)
        return EncoderOutput(torch.cat(features), grid_shape)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """One thread less than torch has, each of which lets torch use one."""
        threads = self.threads - 1
        pool, started = ThreadPoolExecutor(threads, "encoder", torch.set_num_threads, (1,)), Barrier(threads)
        list(pool.map(lambda _: started.wait(), range(threads)))
        # set_num_threads holds for its own thread, but also for every thread that starts later.
        torch.set_num_threads(self.threads)
        return pool


def prefetch_one(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items one step late, so that the next item's background work overlaps."""
    waiting: list[Item] = []
    for item in items:
        yield from waiting
        waiting = [item]
    yield from waiting
