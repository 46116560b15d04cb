"""What it gives a training step that the captions of a photo share its features, and that the attention stores no activations.

    OMP_NUM_THREADS=1 python scripts/bench_grouping.py

Three ways to do the same work at the sizes of configs/flickr8k.yaml, in turn, several rounds; the median of each.
"""

import statistics
import time

import torch
from torch import Tensor

from showattend.losses import caption_loss, pack
from showattend.models.attention import additive
from showattend.models.decoder import Decoder, DecoderConfig

PHOTOS, CAPTIONS, WORDS, VOCABULARY, ROUNDS = 32, 5, 12, 2544, 5


class Plain:
    """The energies written plainly: every activation is kept for the backward pass."""

    @staticmethod
    def apply(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
        """As `AdditiveEnergy.apply`."""
        return torch.tanh(keys.unsqueeze(1) + queries.unsqueeze(2)) @ weight


def step(decoder: Decoder, annotations: Tensor, words: Tensor) -> float:
    """Seconds for the forward and backward pass of one batch."""
    started = time.perf_counter()
    logits = decoder(annotations, words).logits
    caption_loss(logits, pack(words, words > 0)).backward()
    return time.perf_counter() - started


def main() -> None:
    """Print a line for each grid."""
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(VOCABULARY, 1280, 512, attention_size=256))
    fast = additive.AdditiveEnergy
    words = torch.randint(4, VOCABULARY, (PHOTOS, CAPTIONS, WORDS))
    for locations in (49, 196):
        annotations = torch.randn(PHOTOS, locations, 1280)
        repeated = annotations.repeat_interleave(CAPTIONS, 0)
        apart = words.reshape(PHOTOS * CAPTIONS, 1, WORDS)
        ways = {"plain, apart": (Plain, repeated, apart), "plain, shared": (Plain, annotations, words), "ours": (fast, annotations, words)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (energy, photos, captions) in ways.items():
                additive.AdditiveEnergy = energy  # type: ignore[misc, assignment]
                seconds[name].append(step(decoder, photos, captions))
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        print(
            f"L {locations}: " + ", ".join(f"{name} {median:.2f} s ({median / medians['ours']:.1f}x)" for name, median in medians.items())
        )


if __name__ == "__main__":
    main()
