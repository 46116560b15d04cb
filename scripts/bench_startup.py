"""Seconds from the start of a process to its first line of output.

    OMP_NUM_THREADS=1 python scripts/bench_startup.py                      the cases below
    python scripts/bench_startup.py --encoder resnet101 --json FILE        other encoders

  import torch     a program that does nothing else: the least that a caption needs
  --help           of the command line
  caption, tiny    one photo, a model with this encoder and random weights; one case for each --encoder

Processes take turns; medians, with the smallest and the largest.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_common import Table, draw_photos, make_parser, print_head, write_json
from tqdm import tqdm

from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig
from showattend.pretrained import Pretrained, save_pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig
from showattend.vocabulary import SPECIALS, Vocabulary

ROOT, IMPORT = Path(__file__).parents[1], "import torch"


def save_random_model(encoder: str, folder: Path) -> Path:
    """A model folder with random weights and a vocabulary of 10,000."""
    config = CaptionerConfig(EncoderConfig(encoder, "none"), generation=GenerationConfig(max_length=12))
    lit = LitCaptioner(Vocabulary([*SPECIALS, *(f"word{index}" for index in range(9_996))]), config)
    save_pretrained(Pretrained(lit.network.eval(), lit.vocabulary, lit.preprocessing, lit.generation), folder / encoder)
    return folder / encoder


def seconds_to_first_line(command: Sequence[str]) -> float:
    """Until a process has written a line, or has ended."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - started
        process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds


def measure(encoders: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each case in each round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (photo,) = draw_photos(folder, 1)
        caption = ["-m", "showattend", "caption", str(photo), "--model"]
        commands = {IMPORT: ["-c", "import torch; print(1, flush=True)"], "--help": ["-m", "showattend", "--help"]}
        commands |= {f"caption, {encoder}": [*caption, str(save_random_model(encoder, folder))] for encoder in encoders}
        repeats = tqdm(range(1 + rounds), unit=" rounds", disable=None)
        times = [{case: seconds_to_first_line(command) for case, command in commands.items()} for _ in repeats]
    return {case: [times_of_round[case] for times_of_round in times[1:]] for case in commands}  # the first round fills the disk's cache


def report(case: str, seconds: Sequence[float], torch_seconds: float, table: Table) -> dict[str, Any]:
    """A case as one object; adds its row."""
    median, spread = statistics.median(seconds), [min(seconds), max(seconds)]
    beyond_torch = median - torch_seconds
    more = f"{beyond_torch:+.2f} s" if case.startswith("caption") else ""
    table.add(case, f"{median:.2f} s", f"[{spread[0]:.2f}, {spread[1]:.2f}]", more)
    return {"case": case, "seconds": median, "spread": spread, "beyond_torch": beyond_torch}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = make_parser(__doc__, rounds=9)
    parser.add_argument("--encoder", nargs="+", default=["tiny", "mobilenet_v2"], metavar="NAME", help="(default: tiny mobilenet_v2)")
    options = parser.parse_args(arguments)
    times = measure(options.encoder, options.rounds)
    print_head()
    table, torch_seconds = Table(("case", 22), ("seconds", 8), ("spread", 14), ("beyond torch", 12)), statistics.median(times[IMPORT])
    write_json(options.json, [report(case, seconds, torch_seconds, table) for case, seconds in times.items()])


if __name__ == "__main__":
    main()
