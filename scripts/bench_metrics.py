"""Time of the metrics against pycocoevalcap's, without its Java.

    python scripts/bench_metrics.py                          5,000 photos with 5 references each, of a random language
    python scripts/bench_metrics.py --data.root DIR          captions of a data set: the last of each photo against the others

BLEU-1..4, ROUGE-L and CIDEr-D of the corpus and of each photo, from the same tokens, both in turn within every round, so
that a noisy machine is noisy for both; in every round the two must agree to 1e-9. Medians of the rounds, in seconds, with the least and
the most; the ratio is the median of the rounds' ratios.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from bench_common import Table, print_head
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from tqdm import tqdm

from showattend.data.captions import read_captions
from showattend.metrics import corpus_statistics, ptb_tokenize

Captions = dict[int, list[str]]
References = dict[int, list[list[str]]]
VOCABULARY, TOPIC = 9000, 8  # words of the language, and of a photo's topic


def random_language(photos: int, references: int, seed: int = 0) -> tuple[Captions, References]:
    """Captions of 6 to 16 words by Zipf's law, one in two of them from the few words of the photo's topic."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    captions: list[list[list[str]]] = []
    for _ in range(photos):
        common = rng.choice(VOCABULARY, (references + 1, 16), p=weights / weights.sum())
        topic = rng.choice(VOCABULARY, TOPIC, p=weights / weights.sum())[rng.integers(0, TOPIC, (references + 1, 16))]
        rows = np.where(rng.random((references + 1, 16)) < 0.5, topic, common)
        captions.append(
            [[f"w{word}" for word in row[:length]] for row, length in zip(rows, rng.integers(6, 17, references + 1), strict=True)]
        )
    return {i: of_photo[-1] for i, of_photo in enumerate(captions)}, {i: of_photo[:-1] for i, of_photo in enumerate(captions)}


def data_set_captions(root: Path, photos: int) -> tuple[Captions, References]:
    """The last caption of each photo of a data set against its others."""
    data = read_captions(root)
    chosen = [photo for of_split in data.splits.values() for photo in of_split if len(photo.captions) > 1][:photos]
    tokens = [[ptb_tokenize(caption) for caption in photo.captions] for photo in chosen]
    return {i: captions[-1] for i, captions in enumerate(tokens)}, {i: captions[:-1] for i, captions in enumerate(tokens)}


def score_with_showattend(captions: Captions, references: References) -> tuple[list[float], list[float]]:
    """The six scores, and CIDEr-D of each photo."""
    statistics = corpus_statistics(captions, references)
    return list(statistics.values().values()), statistics.per_photo()["cider_d"].tolist()


def score_with_pycocoevalcap(captions: dict[int, list[str]], references: dict[int, list[str]]) -> tuple[list[float], list[float]]:
    """The same values by pycocoevalcap."""
    bleu, _ = Bleu(4).compute_score(references, captions, verbose=0)
    rouge, _ = Rouge().compute_score(references, captions)
    cider, of_photos = Cider().compute_score(references, captions)
    return [*map(float, bleu), float(rouge), float(cider)], list(map(float, of_photos))


def measure(captions: Captions, references: References, repeats: int) -> dict[str, list[float]]:
    """Seconds of each round."""
    joined = {i: [" ".join(words)] for i, words in captions.items()}
    joined_references = {i: [" ".join(words) for words in of_photo] for i, of_photo in references.items()}
    times: dict[str, list[float]] = {"showattend": [], "pycocoevalcap": []}
    for _ in tqdm(range(repeats), unit=" rounds", disable=None):
        start = time.perf_counter()
        showattend = score_with_showattend(captions, references)
        middle = time.perf_counter()
        official = score_with_pycocoevalcap(joined, joined_references)
        end = time.perf_counter()
        times["showattend"].append(middle - start)
        times["pycocoevalcap"].append(end - middle)
        for value, expected in zip(showattend, official, strict=True):
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-9)
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both, print the medians, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data.root", dest="root", type=Path, metavar="DIR", help="folder of a data set")
    parser.add_argument("--photos", type=int, default=5000, help="photos (default: %(default)s)")
    parser.add_argument("--references", type=int, default=5, help="references of each, in the random language (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    args = parser.parse_args(arguments)
    captions, references = data_set_captions(args.root, args.photos) if args.root else random_language(args.photos, args.references)
    counted = sum(map(len, references.values()))
    source = "captions of a data set" if args.root else "a random language"
    print_head("cpu", f"{len(captions)} photos", f"{counted} references", source, f"{args.repeats} rounds", f"numpy {np.__version__}")
    times = measure(captions, references, args.repeats)
    table = Table(("scores by", 14), ("seconds", 10), ("spread", 16))
    for name, seconds in times.items():
        table.add(name, f"{statistics.median(seconds):.3f} s", f"[{min(seconds):.3f}, {max(seconds):.3f}]")
    ratios = [official / showattend for showattend, official in zip(times["showattend"], times["pycocoevalcap"], strict=True)]
    spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
    table.add("ratio", f"{statistics.median(ratios):.2f}x", spread, note="equal to 1e-9 in every round")
    if args.json:
        sizes = {"photos": len(captions), "references": counted, "source": source}
        machine = {"python": platform.python_version(), "numpy": np.__version__, "processor": platform.processor()}
        args.json.write_text(json.dumps({"sizes": sizes, "machine": machine, "seconds": times, "ratios": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
