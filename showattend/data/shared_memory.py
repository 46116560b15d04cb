"""How many worker processes fit into the shared memory through which their batches come."""

import shutil
from pathlib import Path

from showattend.console import print_error

SHARED_MEMORY = Path("/dev/shm")
PREFETCHED = 2  # batches that a worker of a DataLoader has ready
MARGIN = 1.25


def workers_that_fit(workers: int, batch_bytes: int, *, loaders: int = 1) -> int:
    """The number of workers asked for, or fewer where shared memory is small (a container of docker's has 64 MB), with a line.

    Args:
        batch_bytes: size of a batch's tensors
        loaders: how many loaders of that many workers live at once
    """
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:  # no such file system, as outside Linux
        return workers
    batches = int(free / MARGIN / loaders / max(1, batch_bytes)) - 1  # one is in use
    fitting = min(workers, max(0, batches // PREFETCHED))
    if fitting < workers:
        print_error(
            f"{SHARED_MEMORY} has only {free / 2**20:.0f} MB free: photos are read by {fitting} worker processes, not {workers} "
            "(docker run --shm-size 1g gives more)"
        )
    return fitting
