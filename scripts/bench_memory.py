"""Peak memory of a command with all of its processes, on Linux.

    python scripts/bench_memory.py -- showattend caption photos/ --model runs/NAME/model --json captions.json
    python scripts/bench_memory.py -- showattend fit --config flickr8k --data.root DIR --trainer.max_steps 100

  largest   resident memory of the largest process, as `/usr/bin/time -v` shows it
  together  of all processes, in which a page that several of them share counts once (PSS)
  own       of `together` what is no file's content: libraries are files

They are read five times a second, while the command runs.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_common import Table, make_parser, print_head, write_json

INTERVAL = 0.2  # seconds
FIELDS = ("Rss", "Pss", "Pss_Anon")


def process_tree(root: int) -> Iterator[int]:
    """A process with its children, and theirs."""
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from process_tree(int(child))


def memory_of(process: int) -> dict[str, int]:
    """Bytes by the names of FIELDS; nothing of a process that has ended."""
    try:
        lines = [line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): 1024 * int(line[1]) for line in lines if line[0].rstrip(":") in FIELDS}


def measure(command: Sequence[str]) -> dict[str, int]:
    """Run a command; its peaks in MiB, its seconds, and its exit status."""
    started, process, peaks = time.perf_counter(), subprocess.Popen(command), {"largest": 0, "together": 0, "own": 0}
    while process.poll() is None:
        try:
            found = [memory for memory in map(memory_of, process_tree(process.pid)) if memory]
        except OSError:  # a process has ended while its children were listed
            continue
        sums = {"together": sum(one["Pss"] for one in found), "own": sum(one["Pss_Anon"] for one in found)}
        now = {"largest": max((one["Rss"] for one in found), default=0), **sums}
        peaks = {name: max(peak, now[name]) for name, peak in peaks.items()}
        time.sleep(INTERVAL)
    sizes = {name: round(peak / 2**20) for name, peak in peaks.items()}
    return {**sizes, "seconds": round(time.perf_counter() - started), "status": process.returncode}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for the command."""
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("--name", default="command", help="of the row (default: %(default)s)")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after --")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("this system does not say how much memory a process has: run it on Linux")
    if not shutil.which(options.command[0]):
        parser.error(f"no command {options.command[0]}: give its path, or activate the environment that holds it")
    runs = [measure(options.command) for _ in range(options.rounds)]
    print_head("cpu", " ".join(options.command))
    table = Table(("", 24), ("largest", 10), ("together", 10), ("own", 10), ("seconds", 8), ("status", 6))
    for run in runs:
        sizes = [f"{run[name]:,} MiB" for name in ("largest", "together", "own")]
        table.add(options.name, *sizes, str(run["seconds"]), str(run["status"]))
    write_json(options.json, [{"case": options.name, "command": " ".join(options.command), **run} for run in runs])


if __name__ == "__main__":
    main()
