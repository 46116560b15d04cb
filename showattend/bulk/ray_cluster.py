"""Starting Ray, or joining a cluster, and how its processors and GPUs are shared out. Ray is imported here and nowhere else."""

import math
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from showattend.data.images import MAX_PIXELS_VARIABLE
from showattend.errors import InputError, one_line

STORE_BYTES = 2**31  # of a local Ray's object store, at most
SECONDS = 10  # in which a cluster must answer


class Resources(NamedTuple):
    """Actors of the pool, and the share of GPUs that each of them has; 0: they run on processors."""

    actors: int
    gpus: float


def start_ray(address: str | None) -> Any:
    """Join a cluster, or start Ray on this machine alone.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    if address is None and "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        # Ray listens on all interfaces and runs what it is asked to: ours obeys whoever knows this token alone. It is read at the import.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError("showattend bulk needs Ray: pip install 'showattend[ray]', or work without it by --shard 1/1") from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if limit := os.environ.get(MAX_PIXELS_VARIABLE):
        options["runtime_env"] = {"env_vars": {MAX_PIXELS_VARIABLE: limit}}
    if address is None:
        # One more than the processors: an actor that waits for decoded photos must not keep decoding from beginning.
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        options |= {"num_cpus": processors + 1, "include_dashboard": False, "object_store_memory": _store_bytes()}
    if not ray.is_initialized():
        try:
            if address is not None:
                _check_reachable(address)
            with _own_signal_handlers():
                ray.init(address=address or "local", **options)
        except Exception as error:  # Ray lets errors of many kinds through
            place = f"there is no Ray cluster at {address}" if address else "Ray does not start here"
            raise InputError(f"{place} ({one_line(error)}): see --address, or work without Ray by --shard 1/1") from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError where nothing listens at HOST:PORT: Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, in whose place Ray puts its own; Ray's processes end with this one all the same."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError, TypeError):  # not the main thread, or a handler that Python has not set
            signal.signal(signal.SIGTERM, before)


def choose_resources(ray: Any, concurrency: int | None, device: str | None) -> Resources:
    """How many actors there are: by default one for each GPU of the cluster, without GPUs one for every two processors.

    Raises:
        InputError: the cluster has no such device, or too few processors.
    """
    cluster = ray.cluster_resources()
    processors, gpus = int(cluster.get("CPU", 0)), int(cluster.get("GPU", 0))
    kind = (device or "auto").partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise InputError(f"Ray captions on cpu or cuda, not on '{device}': give one of them, or work without Ray by --shard 1/1")
    if kind == "cuda" and not gpus:
        raise InputError("no machine of the Ray cluster has a GPU: leave --device out")
    if gpus and kind != "cpu":
        actors = concurrency or gpus
        return Resources(actors, 1 / math.ceil(actors / gpus))  # a share lies on one GPU
    actors = concurrency or max(1, processors // 2)
    if actors >= processors:
        raise InputError(f"--concurrency {actors} leaves no processor of the Ray cluster's {processors} to decode: give less")
    return Resources(actors, 0.0)


def _store_bytes() -> int:
    """Bytes of a local object store: a third of the memory, at most STORE_BYTES."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(80 * 2**20, min(STORE_BYTES, memory // 3))
