"""Milliseconds a photo that another ranking of the beams' captions takes, and what it needs once.

    OMP_NUM_THREADS=1 python scripts/bench_rankings.py                      6,000 photos, as Flickr8k's training
    OMP_NUM_THREADS=1 python scripts/bench_rankings.py --photos 1000

  regression once    solving the kernel ridge regression of --neighbors, seconds
  index once         the index of people's captions by their n-grams, seconds
  neighbors, 5       ranking 5 captions of a photo by --neighbors, milliseconds
  neighbors, 20      20 captions
  consensus, 10      10 captions by --consensus

Features are random (1,840 channels), words of captions follow Zipf's law, and those to rank are people's of other photos.
A batch has 64 photos.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, make_parser, print_head, random_lengths, timed, write_json
from torch import Tensor
from torch.nn.functional import pad

from showattend.decoding.consensus import rank_by_consensus
from showattend.decoding.generation import Hypotheses
from showattend.decoding.neighbors import Neighbors, rank_by_neighbors
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END, PAD, SPECIALS

BATCH, CHANNELS, CAPTIONS, WORDS = 64, 1840, 5, 2540


def random_captions(count: int) -> Tensor:
    """Captions of Flickr8k's lengths, then `<pad>`, (count,T)."""
    lengths, frequencies = random_lengths(count, 1) - 1, 1 / torch.arange(1, WORDS - len(SPECIALS) + 1)
    places = torch.arange(int(lengths.max()))
    token_ids = torch.multinomial(frequencies, count * len(places), replacement=True).view(count, -1) + len(SPECIALS)
    return token_ids.masked_fill(places >= lengths, PAD)


def with_end(captions: Tensor) -> Tensor:
    """Captions (…,T) with `<end>` behind the last word, (…,T+1)."""
    lengths = (captions != PAD).sum(-1, keepdim=True)
    return pad(captions, (0, 1), value=PAD).scatter(-1, lengths, END)


def measure(photos: int, rounds: int) -> dict[str, list[float]]:
    """Seconds, or milliseconds a photo, of each case in each round."""
    captions = random_captions(photos * CAPTIONS)
    features, sought = torch.randn(photos, CHANNELS), torch.randn(BATCH, 1, CHANNELS)
    times: dict[str, list[float]] = {}

    def record(case: str, run: Callable[[], Any], scale: float = 1.0) -> None:
        times.setdefault(case, []).append(timed(run)[1] * scale)

    for _ in range(1 + rounds):
        neighbors = Neighbors.from_photos(features, captions.unflatten(0, (photos, CAPTIONS)))
        record("regression once", lambda neighbors=neighbors: neighbors.cholesky)
        record("index once", lambda neighbors=neighbors: neighbors.references)
        for ranking, count in (("neighbors", 5), ("neighbors", 20), ("consensus", 10)):
            found = with_end(captions[torch.randint(len(captions), (BATCH, count))])
            hypotheses = Hypotheses(found, torch.randn(BATCH, count), torch.zeros(BATCH, count, 1, 1))
            config = GenerationConfig(beam=count)
            by_neighbors = partial(rank_by_neighbors, hypotheses, sought, neighbors, config)
            run = by_neighbors if ranking == "neighbors" else partial(rank_by_consensus, hypotheses, config)
            record(f"{ranking}, {count}", run, 1000 / BATCH)
    return {case: values[1:] for case, values in times.items()}  # the first round warms up


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--photos", type=int, default=6000, help="photos of the training, with 5 captions each (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    print_head("cpu", f"{options.photos:,} photos")
    table, results = Table(("case", 16), ("median", 10), ("spread", 16)), []
    with torch.inference_mode():
        times = measure(options.photos, options.rounds)
    for case, values in times.items():
        median, unit = statistics.median(values), "s" if case.endswith("once") else "ms"
        table.add(case, f"{median:.2f} {unit}", f"[{min(values):.2f}, {max(values):.2f}]")
        results.append({"case": case, "time": median, "unit": unit, "spread": [min(values), max(values)], "photos": options.photos})
    write_json(options.json, results)


if __name__ == "__main__":
    main()
