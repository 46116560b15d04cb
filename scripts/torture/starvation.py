"""Starvation: a full disk, a limit on the size of files, few file handles, little memory, and standard output that is closed or full."""

import contextlib
import csv
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.torture import sandbox
from scripts.torture.fixtures import MODEL, PHOTO, RECIPE, SHAPES
from scripts.torture.kills import damaged_file
from scripts.torture.outcome import Outcome, Plan, Record, Result
from scripts.torture.sandbox import Ended, classify, run_command

OLD = {"o.json": "[]", "o.csv": "file,caption,score,rank\n", "o.png": "old picture", "o.html": "old page"}
ROOT = Path(__file__).parents[2]


def commands(plan: Plan) -> dict[str, list[str]]:
    """Commands that write into the folder `full`."""
    model, photos = str(plan.fixtures / MODEL), str(plan.fixtures / SHAPES / "images")
    data = ["--data.root", str(plan.fixtures / SHAPES)]
    fit = ["fit", "--config", str(plan.fixtures / RECIPE), *data, "--data.cache_dir"]
    return {
        "caption": ["caption", photos, "--model", model, "--json", "full/o.json", "--csv", "full/o.csv"],
        "attend": ["attend", str(plan.fixtures / PHOTO), "--model", model, "--out", "full/o.png"],
        "evaluate": ["evaluate", *data, "--split", "test", "--model", model, "--out", "full", "--report", "full/o.html"],
        "shapes": ["shapes", "full/shapes"],
        "fit": [*fit, "cache", "--runs", "full/runs", "--name", "run"],
        "fit, cache": [*fit, "full/cache", "--runs", "runs", "--name", "run"],
    }


def run(plan: Plan, record: Record) -> None:
    """Each command with limits of several sizes."""
    for sort, (attempt, full, quick) in SORTS.items():
        for number in range(plan.count(full, quick)):
            rng = random.Random(f"{plan.seed} starvation {sort} {number}")
            known = commands(plan)
            name = list(known)[number % len(known)]
            record.attempt(f"{sort} {name} {number}", lambda folder, a=attempt, r=rng, n=name, k=known: a(r, folder, n, k[n]))


def _disk(rng: random.Random, folder: Path, name: str, command: list[str]) -> Result:
    """A disk of a few hundred kilobytes: a tmpfs, or without the right to mount one a limit on the size of files."""
    if os.geteuid() != 0:
        return _file_size(rng, folder, name, command)
    size = rng.choice([1, 2, 4, 8, 16, 40, 100, 300]) * 4096
    with _small_disk(folder / "full", size) as mounted:
        if not mounted:
            return _file_size(rng, folder, name, command)
        _write_old(folder)
        ended = run_command(command, folder, timeout=90)
        return _check(ended, folder, f"a disk of {size} bytes")


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[bool]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


def _file_size(rng: random.Random, folder: Path, name: str, command: list[str]) -> Result:
    size = rng.choice([0, 1, 500, 4096, 20_000, 100_000])
    return _limited(folder, command, resource.RLIMIT_FSIZE, size, "files of at most {} bytes")


def _handles(rng: random.Random, folder: Path, name: str, command: list[str]) -> Result:
    return _limited(folder, command, resource.RLIMIT_NOFILE, rng.choice([4, 6, 8, 10, 12, 16, 24]), "{} file handles")


def _limited(folder: Path, command: list[str], limit: int, value: int, what: str) -> Result:
    (folder / "full").mkdir(exist_ok=True)
    _write_old(folder)
    ended = run_command(command, folder, timeout=90, prepare=lambda: resource.setrlimit(limit, (value, value)))  # type: ignore[arg-type]
    return _check(ended, folder, what.format(value))


def _memory(rng: random.Random, folder: Path, name: str, command: list[str]) -> Result:
    (folder / "full").mkdir(exist_ok=True)
    _write_old(folder)
    memory = rng.choice([1, 4, 16, 64]) * 2**20
    return _check(run_command(command, folder, timeout=90, memory=memory), folder, f"{memory >> 20} MiB of memory")


def _output(rng: random.Random, folder: Path, name: str, command: list[str]) -> Result:
    """Standard output that is closed, full, or a pipe that nobody reads; a new process, because the interpreter's own end counts."""
    (folder / "full").mkdir(exist_ok=True)
    kind = rng.choice(["closed", "full device", "broken pipe"])
    redirect = {"closed": ">&-", "full device": ">/dev/full", "broken pipe": "| true"}[kind]
    script = f'"$@" {redirect} 2>stderr.txt' if kind != "broken pipe" else '{ "$@" 2>stderr.txt; echo $? >status; } | true'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["bash", "-c", script, "bash", sys.executable, "-m", "showattend", *command]
    try:
        status = subprocess.run(arguments, cwd=folder, env=environment, timeout=120 * sandbox.patience, stdin=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        return Result(Outcome.HANG, kind)
    if kind == "broken pipe":
        status = int((folder / "status").read_text())
    stderr = (folder / "stderr.txt").read_text(errors="backslashreplace")
    if kind == "broken pipe" and status == 1 and not stderr.strip():
        return Result(Outcome.GOOD, "the reader closed the pipe, and nobody is to be told")
    return _check(Ended(status, "", stderr, False, 0.0), folder, f"standard output: {kind}")


def _write_old(folder: Path) -> None:
    """Files of an earlier command, which must survive; on a full disk not all of them fit."""
    for name, text in OLD.items():
        with contextlib.suppress(OSError):
            (folder / "full" / name).write_text(text)


def _check(ended: Ended, folder: Path, limit: str) -> Result:
    """As `classify`, and every file with a final name is whole: the old one or the new one."""
    result = classify(ended)
    if result.outcome in (Outcome.GOOD, Outcome.ONE_LINE):
        problem = _half_written(folder) or damaged_file(folder)
        if problem:
            result = Result(Outcome.LOST, problem)
    return result._replace(detail=f"{limit}: {result.detail}")


def _half_written(folder: Path) -> str:
    ends: dict[str, Callable[[str], bool]] = {
        "o.json": lambda text: bool(json.loads(text) is not None),
        "o.csv": lambda text: all(len(row) == 4 for row in csv.reader(text.splitlines())),
        "results.json": lambda text: bool(json.loads(text) is not None),
        "metrics.json": lambda text: bool(json.loads(text) is not None),
        "o.html": lambda text: text.rstrip().endswith(("</html>", OLD["o.html"])),
        "o.png": lambda text: text == OLD["o.png"] or "IEND" in text[-20:],
    }
    for name, is_whole in ends.items():
        path = folder / "full" / name
        try:
            if path.exists() and path.stat().st_size and not is_whole(path.read_text(errors="replace")):
                return f"{name} is half-written"
        except ValueError as error:
            return f"{name} is half-written: {error}"
    return ""


SORTS = {
    "disk": (_disk, 24, 2),
    "file size": (_file_size, 18, 1),
    "file handles": (_handles, 12, 1),
    "memory": (_memory, 12, 0),
    "output": (_output, 12, 0),
}
