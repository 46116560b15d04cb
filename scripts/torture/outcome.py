"""What became of an attempt, the record of all attempts, and the table of a run."""

import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Outcome(StrEnum):
    """How an attempt ended; the last three are failures.

    GOOD: the input was accepted and the work done
    ONE_LINE: the input was refused with a message of one line
    TRACEBACK: a traceback, a crash of the interpreter, or no message at all
    HANG: the time limit was reached
    LOST: a half-written file under a final name, an old file destroyed, a result that differs, or code that ran from a file
    """

    GOOD = "good"
    ONE_LINE = "one line"
    TRACEBACK = "traceback"
    HANG = "hang"
    LOST = "lost"


FAILURES = (Outcome.TRACEBACK, Outcome.HANG, Outcome.LOST)


class Result(NamedTuple):
    """The outcome of one attempt, and what was printed or found."""

    outcome: Outcome
    detail: str = ""


class Failure(NamedTuple):
    """An attempt that failed, and the folder that keeps its inputs."""

    name: str
    result: Result
    folder: Path


class Plan(NamedTuple):
    """What a run of all kinds has in common."""

    seed: int
    quick: bool
    fixtures: Path  # data set, models and photos that every kind may read
    scale: float = 1.0  # of the numbers of a full run

    def count(self, full: int, quick: int) -> int:
        """The number of attempts of this run."""
        return quick if self.quick else max(1, round(full * self.scale))


class Record:
    """Counts of one kind; the folder of an attempt that fails is kept."""

    def __init__(self, kind: str, kept: Path, work: Path) -> None:
        self.kind = kind
        self.counts: Counter[Outcome] = Counter()
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self._kept = kept / kind.replace(" ", "-")
        self._work = work

    def attempt(self, name: str, run: Callable[[Path], Result]) -> Result:
        """Run one attempt in a fresh folder."""
        folder = Path(tempfile.mkdtemp(dir=self._work))
        result = run(folder)
        self.add(name, result, folder)
        shutil.rmtree(folder, ignore_errors=True)
        return result

    def add(self, name: str, result: Result, folder: Path) -> None:
        """Count a result, and copy the folder of a failure."""
        self.counts[result.outcome] += 1
        if result.outcome in FAILURES:
            target = self._kept / f"{len(self.failures):03}"
            target.mkdir(parents=True, exist_ok=True)
            (target / "what.txt").write_text(f"{name}\n{result.outcome}\n{result.detail}\n", errors="backslashreplace")
            _copy(folder, target / "files")
            self.failures.append(Failure(name, result, target))
            last = (result.detail.strip().splitlines() or [""])[-1]
            print(f"  {self.kind}: {result.outcome}: {name}: {last[:200]!r}", file=sys.stderr, flush=True)

    @property
    def tried(self) -> int:
        """The number of attempts."""
        return sum(self.counts.values())


def _copy(folder: Path, target: Path) -> None:
    """Copy the regular files of a folder, the small ones: pipes and devices would block."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**22:
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.relative_to(folder))


def table(records: list[Record]) -> str:
    """The counts of all kinds as a table in Markdown."""
    columns = ["kind", "tried", *Outcome]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    totals: dict[str, int] = defaultdict(int)
    for record in records:
        values = {"tried": record.tried, **{outcome: record.counts[outcome] for outcome in Outcome}}
        lines.append(f"| {record.kind} | {' | '.join(map(str, values.values()))} |")
        for name, value in values.items():
            totals[name] += value
    if len(records) > 1:
        lines.append(f"| all | {' | '.join(str(totals[name]) for name in columns[1:])} |")
    return "\n".join(lines)
