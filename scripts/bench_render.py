"""Seconds of processor time to draw the maps of a caption of 20 words on a photo of 3000 by 2000 pixels, by the ending of the file.

    OMP_NUM_THREADS=1 python scripts/bench_render.py --json docs/runs/speed/render.json

After the first round, which imports what the others find imported. Medians, with the smallest and the largest.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, draw_photos, make_parser, print_head, write_json
from PIL import Image

from showattend.inference import Caption
from showattend.visualize import DrawingOptions, write_attention

ENDINGS = (".html", ".png", ".svg", ".pdf", ".gif", ".webp", ".json")
WORDS, GRID, SIZE = 20, (14, 14), (3000, 2000)


def random_caption() -> Caption:
    """A caption of 20 words with spread-out weights on a grid of 14 by 14."""
    alphas = torch.softmax(2 * torch.randn(WORDS, GRID[0] * GRID[1]), -1)
    box = (500.0, 0.0, 2500.0, 2000.0)
    return Caption([f"word{n}" for n in range(WORDS)], -20.0, alphas, GRID, box, box, log_probs=-torch.rand(WORDS + 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each ending."""
    options = make_parser(__doc__, rounds=5).parse_args(arguments)
    torch.manual_seed(0)
    caption = random_caption()
    print_head("cpu", f"{WORDS} words, a photo of {SIZE[0]} by {SIZE[1]} pixels")
    table, rows = Table(("file", 8), ("processor time", 14), ("spread", 14), ("size", 10)), []
    with tempfile.TemporaryDirectory() as name:
        (drawn,) = draw_photos(Path(name), 1)
        photo = Image.open(drawn).convert("RGB").resize(SIZE)
        for ending in ENDINGS:
            path, seconds = Path(name) / f"map{ending}", []
            for _ in range(1 + options.rounds):
                started = time.process_time()
                write_attention(path, photo, "photo.jpg", {"": caption}, DrawingOptions())
                seconds.append(time.process_time() - started)
            spread = [min(seconds[1:]), max(seconds[1:])]
            rows.append({"case": ending, "seconds": statistics.median(seconds[1:]), "spread": spread, "bytes": path.stat().st_size})
            size = f"{path.stat().st_size / 1000:.0f} kB"
            table.add(ending, f"{rows[-1]['seconds']:.2f} s", f"[{spread[0]:.2f}, {spread[1]:.2f}]", size)
    write_json(options.json, rows)


if __name__ == "__main__":
    main()
