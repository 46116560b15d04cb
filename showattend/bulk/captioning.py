"""Decoded chunks to rows of the output, by the batches of `Captioner`."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from showattend.bulk.chunks import CaptionedChunk, DecodedChunk, Row
from showattend.console import encodable
from showattend.features.decoded_photos import DecodedBatch
from showattend.generation_config import GenerationConfig
from showattend.inference import Caption, Captioner, Failure


class ChunkCaptioner(NamedTuple):
    """How decoded chunks become rows."""

    captioner: Captioner
    config: GenerationConfig
    alphas: bool

    def __call__(self, chunks: Iterable[DecodedChunk]) -> Iterator[CaptionedChunk]:
        """The rows of chunks, in their order; while one is searched, the next is encoded."""
        waiting: list[DecodedChunk] = []

        def batches() -> Iterator[DecodedBatch]:
            for chunk in chunks:
                waiting.append(chunk)
                yield DecodedBatch(torch.from_numpy(chunk.pixels), chunk.sizes, chunk.reasons)

        for results in self.captioner.caption_decoded(batches(), self.config):
            chunk = waiting.pop(0)
            rows = [self._row(key, result) for key, result in zip(chunk.ids, results, strict=True)]
            yield CaptionedChunk(chunk.place, rows, chunk.fatal)

    def _row(self, key: str, result: Caption | Failure) -> Row:
        if isinstance(result, Failure):
            return Row(key, None, None, result.reason)
        details = (result.alphas.tolist(), result.grid_shape) if self.alphas else (None, None)
        return Row(key, encodable(str(result)), result.score, None, *details)
