"""Run all kinds of attempts, or some, and print the table; status 1 if one ended in a traceback, a hang or a loss."""

import argparse
import gc
import os
import pickle
import platform
import shutil
import sys
import tempfile
import time
import traceback
from datetime import date
from pathlib import Path
from typing import NoReturn

# Before torch and hypothesis are imported: a fork cannot use a GPU, and the working folder stays clean.
os.environ.update({"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", tempfile.gettempdir())

from scripts.torture import annotations, configs, encoder_graphs, kills, model_folders, photos, sandbox, starvation
from scripts.torture.fixtures import make_fixtures
from scripts.torture.outcome import FAILURES, Plan, Record, table
from scripts.torture.sandbox import run_forked

# The longest first: two run at once.
KINDS = {
    "kills": kills.run,
    "configs": configs.run,
    "photos": photos.run,
    "annotations": annotations.run,
    "model folders": model_folders.run,
    "starvation": starvation.run,
    "encoder graphs": encoder_graphs.run,
}


def main() -> int:
    """Parse the options, run the kinds, print the table."""
    args = _parse_args()
    work = Path(tempfile.mkdtemp(prefix="torture-work-"))
    kept = args.keep or Path(tempfile.mkdtemp(prefix="torture-failed-"))
    started = time.monotonic()
    sandbox.patience = args.patience
    try:
        _import_everything()
        plan = Plan(args.seed, args.quick, _make_fixtures(work), args.scale)
        records = run_kinds(args.only or list(KINDS), plan, kept, work, args.jobs)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    minutes = (time.monotonic() - started) / 60
    report = _report(records, args, minutes)
    print(report)
    if args.out:
        args.out.write_text(report + "\n")
    failures = [failure for record in records for failure in record.failures]
    if failures:
        print(f"\n{len(failures)} failed; their inputs are kept in {kept}")
    elif not args.keep:
        shutil.rmtree(kept, ignore_errors=True)
    return 1 if failures else 0


def run_kinds(names: list[str], plan: Plan, kept: Path, work: Path, jobs: int) -> list[Record]:
    """Run each kind in a process of its own, `jobs` of them at once."""
    waiting, running, records = sorted(names, key=list(KINDS).index), {}, {}
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            process = os.fork()
            if process == 0:
                _run_kind(name, plan, kept, work)
            running[process] = name
        process, status = os.wait()
        name = running.pop(process)
        if status:
            raise SystemExit(f"the attempts of {name} stopped by an error of their own")
        with (work / f"{name}.pickle").open("rb") as file:
            records[name] = pickle.load(file)
    return [records[name] for name in names]


def _run_kind(name: str, plan: Plan, kept: Path, work: Path) -> NoReturn:
    """In a fork: run one kind, and leave its record in a file."""
    status = 1
    try:
        started = time.monotonic()
        record = Record(name, kept, work)
        KINDS[name](plan, record)
        with (work / f"{name}.pickle").open("wb") as file:
            pickle.dump(record, file)
        failed = sum(record.counts[outcome] for outcome in FAILURES)
        print(f"{name}: {record.tried} tried, {failed} failed, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _make_fixtures(work: Path) -> Path:
    fixtures = work / "fixtures"
    fixtures.mkdir(parents=True)
    ended = run_forked(lambda: make_fixtures(fixtures), fixtures, timeout=300)
    if ended.status != 0:
        raise SystemExit(f"the fixtures were not made:\n{ended.stderr}")
    return fixtures


def _import_everything() -> None:
    """Import what commands import, so that forks have it; nothing is computed here, because a fork after threads can hang."""
    import torch
    from PIL import Image

    import showattend.cli.main
    import showattend.demo
    import showattend.training.command
    import showattend.visualize
    import showattend.visualize.report  # noqa: F401

    Image.init()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # otherwise a fork's garbage collection copies all memory


def _report(records: list[Record], args: argparse.Namespace, minutes: float) -> str:
    notes = [f"- {record.kind}: {note}" for record in records for note in record.notes]
    command = f"python -m scripts.torture --seed {args.seed}{' --quick' * args.quick}"
    command += f" --scale {args.scale}" if args.scale != 1 else ""
    command += "".join(f' --only "{name}"' for name in args.only or [])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}"
    lines = [table(records), "", *notes, f"- `{command}`, {minutes:.0f} minutes, {machine}, {date.today()}"]
    return "\n".join(lines)


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.torture", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample of each kind, within a minute")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=list(KINDS), metavar="KIND", help=f"one of: {', '.join(KINDS)}; may be given often"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of a full run's attempts (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=1.0, help="factor of all time limits, for a busy machine (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="kinds that run at once (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the inputs of failures are kept (default: a new folder)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table to a file as well")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
