"""A hundred thousand photos through one `showattend caption`: exactly one line each, and memory over time as CSV and PNG.

The photos are links to a few hundred pictures; some of those are damaged. `make soak`, or
    python -m scripts.torture.soak --photos 100000 --out docs/runs/robustness
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from scripts.torture.fixtures import MODEL, make_fixtures
from scripts.torture.photo_files import FORMATS, encode, truncated

PICTURES = 200
IN_A_FOLDER = 1000
SAMPLE_SECONDS = 0.5
ROWS = 400  # of soak.csv
ROOT = Path(__file__).parents[2]


def main() -> int:
    """Write the photos, caption them, compare the lines, and plot; status 1 if a photo has not exactly one line or memory grew."""
    args = _parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        make_fixtures(Path(work) / "fixtures")
        broken = write_photos(Path(work), args.photos, args.broken, args.seed)
        lines, errors, samples, status = caption(Path(work), args.workers)
        wrong = sum(lines.count_of.get(number, 0) + errors.count_of.get(number, 0) != 1 for number in range(args.photos))
    seconds = samples[-1][0]
    early, late = (_median(samples, start, end) for start, end in ((0.2, 0.4), (0.8, 1.0)))
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "soak.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("seconds", "photos", "MiB"), *samples[:: 1 + len(samples) // ROWS]])
    plot(samples, args.out / "soak.png")
    print(f"{args.photos} photos in {seconds:.0f} s, {broken} damaged ones among them, status {status}")
    print(f"{lines.total} lines of captions, {errors.total} of errors")
    print(f"photos without exactly one line: {wrong}; lines of no photo: {lines.foreign + errors.foreign}")
    print(f"memory (not of files, all processes): {early:.0f} MiB in the second fifth, {late:.0f} MiB in the last: {late - early:+.0f} MiB")
    return 1 if wrong or lines.foreign or late > 1.1 * early + 20 else 0


class Lines:
    """Counts the lines of a stream by the number of the photo that they name."""

    def __init__(self) -> None:
        self.count_of: dict[int, int] = {}
        self.foreign = 0

    @property
    def total(self) -> int:
        """All lines of photos."""
        return sum(self.count_of.values())

    def read(self, stream: Iterable[str], prefix: str) -> None:
        """Read to the end."""
        for line in stream:
            if prefix not in line:  # the progress bar may stand before it
                continue
            _, mark, rest = line.partition("photo-")
            if mark and rest[:7].isdecimal():
                self.count_of[int(rest[:7])] = self.count_of.get(int(rest[:7]), 0) + 1
            else:
                self.foreign += 1


def write_photos(work: Path, count: int, share: float, seed: int) -> int:
    """Pictures of all formats, and links to them; returns how many links lead to damaged ones."""
    rng = random.Random(seed)
    (work / "pictures").mkdir()
    names = list(FORMATS)
    for number in range(PICTURES):
        (work / "pictures" / f"{number}").write_bytes(encode(rng, rng.choice(names), "RGB", (rng.randint(40, 400), rng.randint(40, 400))))
    damaged = ["empty", *(f"damaged-{number}" for number in range(20))]
    for name in damaged:
        content = truncated(rng)
        (work / "pictures" / name).write_bytes(b"" if name == "empty" else content[: len(content) // 4])
    broken = 0
    for number in range(count):
        folder = work / "photos" / f"{number // IN_A_FOLDER:04}"
        if number % IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
        is_broken = rng.random() < share
        broken += is_broken
        target = work / "pictures" / (rng.choice(damaged) if is_broken else str(rng.randrange(PICTURES)))
        os.link(target, folder / f"photo-{number:07}.jpg")
    return broken


def caption(work: Path, workers: int) -> tuple[Lines, Lines, list[tuple[float, int, float]], int]:
    """Run the command, and sample its memory; lines of captions, lines of errors, samples, status."""
    command = [sys.executable, "-m", "showattend", "caption", str(work / "photos"), "--model", str(work / "fixtures" / MODEL)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "backslashreplace", "env": environment}
    lines, errors = Lines(), Lines()
    samples: list[tuple[float, int, float]] = []
    started = time.monotonic()
    with subprocess.Popen([*command, "--batch-size", "64", "--workers", str(workers)], **options) as process:  # type: ignore[call-overload]
        readers = [threading.Thread(target=lines.read, args=(process.stdout, ""))]
        readers.append(threading.Thread(target=errors.read, args=(process.stderr, "skipped ")))
        for reader in readers:
            reader.start()
        while process.poll() is None:
            samples.append((round(time.monotonic() - started, 1), len(lines.count_of), round(resident(process.pid), 1)))
            time.sleep(SAMPLE_SECONDS)
        for reader in readers:
            reader.join()
    return lines, errors, samples, process.returncode


def resident(process: int) -> float:
    """Memory of a process and its children that is no file's, in MiB; pages that a child has not changed count in each."""
    total = 0.0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("RssAnon", "RssShmem"):
                total += int(value.split()[0]) / 1024
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            total += resident(int(child))
    except (OSError, IndexError):  # it has just ended
        return total
    return total


def _median(samples: list[tuple[float, int, float]], start: float, end: float) -> float:
    """The median memory between two shares of the photos; the samples before the first caption are left out."""
    running = [memory for _, photos, memory in samples if photos]
    part = sorted(running[int(len(running) * start) : int(len(running) * end)])
    return part[len(part) // 2] if part else 0.0


def plot(samples: list[tuple[float, int, float]], path: Path) -> None:
    """Memory over the number of photos."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axis = figure.subplots()
    axis.plot([photos for _, photos, _ in samples], [memory for _, _, memory in samples], linewidth=1)
    axis.set(xlabel="photos captioned", ylabel="memory, MiB", ylim=(0, None), title="showattend caption")
    figure.savefig(path, dpi=110)


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.torture.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--broken", type=float, default=0.001, help="share of damaged photos (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read photos (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="folder of soak.csv and soak.png (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
