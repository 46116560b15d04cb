"""How soon is there an answer? Seconds from the start of a process to its first line.

    OMP_NUM_THREADS=1 python scripts/bench_startup.py                      the cases below
    python scripts/bench_startup.py --encoder resnet101 --json FILE        other encoders

  import torch     a program that does nothing else: what no caption can do without
  --help           of the command line
  caption, tiny    one photo with a model that has this encoder, random weights; and so for each --encoder

Processes take turns; medians, with the least and the most.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_pipeline import draw
from tqdm import tqdm

from showattend.decoding import GenerationConfig
from showattend.encoders.base import EncoderConfig
from showattend.pretrained import Pretrained, save_pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig
from showattend.vocabulary import SPECIALS

ROOT, IMPORT = Path(__file__).parents[1], "import torch"


def model(encoder: str, folder: Path) -> Path:
    """A model folder with random weights and ten thousand words."""
    config = CaptionerConfig(EncoderConfig(encoder, "none"), generation=GenerationConfig(max_length=12))
    lit = LitCaptioner([*SPECIALS, *(f"word{number}" for number in range(9_996))], config)
    save_pretrained(Pretrained(lit.network.eval(), lit.vocabulary, lit.preprocessing, lit.search), folder / encoder)
    return folder / encoder


def first_line(command: Sequence[str]) -> float:
    """Seconds until a process has written one, or has ended."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - started
        process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=["tiny", "mobilenet_v2"], metavar="NAME", help="(default: tiny mobilenet_v2)")
    parser.add_argument("--rounds", type=int, default=9, help="processes of each case (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a list of objects there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (photo,) = draw(folder, 1)
        caption = ["-m", "showattend", "caption", str(photo), "--model"]
        commands = {IMPORT: ["-c", "import torch; print(1, flush=True)"], "--help": ["-m", "showattend", "--help"]}
        commands |= {f"caption, {encoder}": [*caption, str(model(encoder, folder))] for encoder in options.encoder}
        laps = tqdm(range(1 + options.rounds), unit=" laps", disable=None)
        times = [{case: first_line(command) for case, command in commands.items()} for _ in laps][1:]  # the first fills the disk's cache
    medians = {case: statistics.median(lap[case] for lap in times) for case in commands}
    results = []
    for case, seconds in medians.items():
        spread = [min(lap[case] for lap in times), max(lap[case] for lap in times)]
        beyond = seconds - medians[IMPORT]
        print(
            f"{case:22} {seconds:6.2f} s [{spread[0]:.2f}, {spread[1]:.2f}]" + (f"  {beyond:+.2f} s" if case.startswith("caption") else "")
        )
        results.append({"case": case, "seconds": seconds, "spread": spread, "beyond_torch": beyond})
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
