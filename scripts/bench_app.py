"""Many users of `showattend app` at once: seconds from a request to its answer, errors, and the server's memory.

    python scripts/bench_app.py                         a tiny model with random weights, drawn photos
    python scripts/bench_app.py --model runs/demo/run/model --photos runs/demo/shapes/images --json docs/runs/speed/app.json

The page is served by a process of its own. Each user is a thread with its own connection that uploads a photo and waits for the answer
before it sends the next one; every tenth request is a caption of the user's own. Needs the extra `app`.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_common import Table, draw_photos, make_parser, print_head, write_json
from bench_startup import save_random_model

from showattend.data.photos import find_photos

OWN_CAPTION = "a red circle above a blue square"
DRAWN = 8


def start_server(model: Path) -> tuple[subprocess.Popen[str], str]:
    """The process, and the page's address."""
    command = [sys.executable, "-m", "showattend", "app", "--model", str(model), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split(" ")[0]
    if not address:
        raise SystemExit("the server has not started")
    return process, address


def memory(process: int) -> float:
    """MiB that a process has in memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class User(threading.Thread):
    """One visitor; `seconds` of each answer and `errors` are read when it has ended."""

    def __init__(self, address: str, photos: Sequence[Path], requests: int, first: int) -> None:
        super().__init__()
        self.address, self.photos, self.requests, self.first = address, photos, requests, first
        self.seconds: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Send all requests, one after the other."""
        from gradio_client import Client, handle_file

        with tempfile.TemporaryDirectory() as folder:
            client = Client(self.address, verbose=False, download_files=folder)
            for n in range(self.requests):
                photo = handle_file(self.photos[(self.first + n) % len(self.photos)])
                started = time.perf_counter()
                try:
                    if n % 10 == 9:
                        client.predict(photo, caption=OWN_CAPTION, api_name="/score")
                    else:
                        client.predict(photo, api_name="/caption")
                except Exception as error:  # whatever it is, it is counted, and no quick refusal makes the others look faster
                    self.errors.append(str(error))
                else:
                    self.seconds.append(time.perf_counter() - started)


def measure(address: str, server: int, photos: Sequence[Path], users: int, requests: int) -> dict[str, Any]:
    """All users at once."""
    warm_up = User(address, photos, 10, 0)
    warm_up.run()
    before, started = memory(server), time.perf_counter()
    crowd = [User(address, photos, requests, 100 * n) for n in range(users)]
    for user in crowd:
        user.start()
    peak = before
    while any(user.is_alive() for user in crowd):
        time.sleep(0.5)
        peak = max(peak, memory(server))
    seconds = sorted(second for user in crowd for second in user.seconds)
    return {
        "users": users,
        "requests": len(seconds),
        "errors": [error for user in crowd for error in user.errors],
        "alone": statistics.median(warm_up.seconds),
        "median": statistics.median(seconds),
        "p95": seconds[int(0.95 * len(seconds))],
        "per_second": len(seconds) / (time.perf_counter() - started),
        "memory_before": before,
        "memory_peak": peak,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row."""
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("--model", type=Path, metavar="DIR", help="a model folder (default: a tiny one with random weights)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="a folder of photos (default: drawn ones)")
    parser.add_argument("--users", type=int, default=10, metavar="N")
    parser.add_argument("--requests", type=int, default=100, metavar="N", help="of each user")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        photos = find_photos([str(options.photos)]).paths if options.photos else draw_photos(Path(name), DRAWN)
        server, address = start_server(options.model or save_random_model("tiny", Path(name)))
        try:
            row = measure(address, server.pid, photos, options.users, options.requests)
        finally:
            server.terminate()
            server.wait()
    print_head("cpu", f"{row['users']} users, {row['requests']} requests")
    table = Table(("errors", 8), ("alone", 8), ("median", 8), ("95% within", 10), ("answers/s", 9), ("memory before, at most", 22))
    seconds = [f"{row[name]:.2f} s" for name in ("alone", "median", "p95")]
    memories = f"{row['memory_before']:.0f} MiB, {row['memory_peak']:.0f} MiB"
    table.add(str(len(row["errors"])), *seconds, f"{row['per_second']:.1f}", memories)
    write_json(options.json, [row])


if __name__ == "__main__":
    main()
