"""`showattend bulk` on Ray: the rows are those of the way without it, whatever dies meanwhile."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_folders import WORDS
from PIL import Image

from showattend.bulk.decoding import UnitDecoder
from showattend.bulk.reading import Found
from showattend.cli.main import main

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'showattend[ray]'"),
    pytest.mark.filterwarnings("ignore"),  # what Ray and its libraries say of each other
]
PHOTOS = int(os.environ.get("SHOWATTEND_BULK_PHOTOS", "20000"))  # of the test with deaths
SECONDS = 900  # that it may take
REPOSITORY = Path(__file__).parents[2]


def write_photos(folder: Path, count: int, different: int) -> None:
    """Photos of different names, of which some share their content; every 97th is broken."""
    folder.mkdir()
    for index in range(different):
        pixels = np.random.default_rng(index).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer := io.BytesIO(), "JPEG")
        (folder / f"{index:05}.jpg").write_bytes(b"broken" if index % 97 == 4 else buffer.getvalue())
    for index in range(different, count):
        os.link(folder / f"{index % different:05}.jpg", folder / f"{index:05}.jpg")


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("parts/*.jsonl")) for line in path.read_text().splitlines()]


def without_last_digits(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose scores, which batches and threads may round otherwise, have four digits."""
    return [row | {"score": None if row["score"] is None else round(row["score"], 4)} for row in found]


def options(photos: Path, model: Path, out: Path, *more: object) -> list[str]:
    chosen = ("--model", model, "--output", out, "--format", "jsonl", "--device", "cpu", *WORDS, *more)
    return [str(one) for one in ("bulk", photos, *chosen)]


@pytest.fixture(scope="module")
def _quick_workers() -> Iterator[None]:
    """Ray gives its workers the lowest priority, which beside other tests makes them starve."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's own spelling)
    yield
    sys.modules["ray"].shutdown()
    del os.environ["RAY_worker_niceness"]  # noqa: SIM112


@pytest.mark.slow  # it starts a Ray, which takes half a minute on a busy machine
@pytest.mark.usefixtures("_quick_workers")
def test_ray_gives_the_rows_of_the_way_without_it_and_goes_on(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    write_photos(photos := tmp_path / "photos", 40, 40)
    sizes = ("--unit-size", 16, "--batch-size", 8)
    assert main(options(photos, model, tmp_path / "alone", *sizes, "--shard", "1/1", "--workers", 0)) == 0
    out = tmp_path / "out"
    assert main(options(photos, model, out, *sizes, "--concurrency", 1)) == 0
    assert without_last_digits(rows(out)) == without_last_digits(rows(tmp_path / "alone"))
    assert f"{out / 'parts'}: photos 40, parts 3; 1 could not be read" in capsys.readouterr().out
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*")}
    assert main(options(photos, model, out, *sizes, "--concurrency", 1)) == 0
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*")} == before
    assert "leaves no processor" in refused(*options(photos, model, tmp_path / "many", *sizes, "--concurrency", 1000))


class Killed(UnitDecoder):
    """The photo 00005.jpg kills whatever decodes it, as a decoder of pictures that crashes."""

    def _load(self, found: Found) -> tuple[Any, tuple[int, int]]:
        if found.id.endswith("00005.jpg"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._load(found)


@pytest.mark.slow  # as above
@pytest.mark.usefixtures("_quick_workers")
def test_a_photo_that_kills_every_process_is_a_row_with_its_error(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import the tests
    monkeypatch.setattr("showattend.bulk.decoding.UnitDecoder", Killed)
    write_photos(photos := tmp_path / "photos", 20, 20)
    out = tmp_path / "out"
    assert main(options(photos, model, out, "--unit-size", 8, "--batch-size", 4, "--concurrency", 1)) == 0
    errors = {Path(row["id"]).name: row["error"] for row in rows(out) if row["error"]}
    assert len(rows(out)) == 20
    assert errors.keys() == {"00004.jpg", "00005.jpg"}
    assert errors["00005.jpg"].endswith("00005.jpg: the process that decodes it dies (SIGKILL)")


def test_a_ray_that_is_not_installed_is_one_line(
    tmp_path: Path, model: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(photos := tmp_path / "photos", 2, 2)
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refused(*options(photos, model, tmp_path / "out"))
    assert "showattend bulk needs Ray: pip install 'showattend[ray]', or work without it by --shard 1/1" in line


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:port"])
def test_a_cluster_that_cannot_be_reached_is_one_line(address: str, tmp_path: Path, model: Path, refused: Callable[..., str]) -> None:
    import ray

    ray.shutdown()
    write_photos(photos := tmp_path / "photos", 2, 2)
    line = refused(*options(photos, model, tmp_path / "out", "--address", address))
    assert f"there is no Ray cluster at {address}" in line
    assert line.endswith("0 parts are kept in " + str(tmp_path / "out") + ": the same command goes on from there")


@pytest.mark.slow
def test_every_photo_is_one_row_although_workers_actors_and_a_machine_die(tmp_path: Path, model: Path) -> None:
    write_photos(photos := tmp_path / "photos", PHOTOS, 200)
    assert main(options(photos, model, tmp_path / "alone", "--shard", "1/1", "--unit-size", 256)) == 0
    from ray.cluster_utils import Cluster

    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
    os.environ.update(environment)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 2**27})
    try:
        nodes = [cluster.add_node(num_cpus=2, object_store_memory=2**27) for _ in range(2)]
        out = tmp_path / "out"
        arguments = options(photos, model, out, "--unit-size", 256, "--address", cluster.address, "--concurrency", 3)
        command = subprocess.Popen([sys.executable, "-m", "showattend", *arguments], env=environment)
        try:
            raylets = {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}
            parts = PHOTOS // 256
            deaths: list[tuple[int, Callable[[], None]]] = [
                (0, lambda: kill(raylets, "decode_units", command)),
                (parts // 10, lambda: kill(raylets, "CaptionActor", command)),
                (parts // 3, lambda: cluster.remove_node(nodes[0], allow_graceful=False)),
            ]
            for finished, die in deaths:
                wait_until(lambda finished=finished: len(list(out.glob("parts/*"))) >= finished, command)  # type: ignore[misc]
                die()
            assert command.wait(SECONDS) == 0
        finally:
            command.kill()
    finally:
        cluster.shutdown()
    found = rows(out)
    assert set(Counter(row["id"] for row in found).values()) == {1}
    assert len(found) == PHOTOS
    assert without_last_digits(found) == without_last_digits(rows(tmp_path / "alone"))


def kill(raylets: set[int], name: str, command: subprocess.Popen[bytes]) -> None:
    """Kill a worker of our cluster while it runs such a step."""
    wait_until(lambda: bool(workers(raylets, name)), command)
    os.kill(workers(raylets, name)[0], signal.SIGKILL)


def workers(raylets: set[int], name: str) -> list[int]:
    """Processes that our raylets have started and whose title holds a name."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            title = (status.parent / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if parent in raylets and name in title:
            found.append(int(status.parent.name))
    return found


def wait_until(condition: Callable[[], bool], command: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        assert command.poll() is None, "the command ended before the last death"
        time.sleep(0.02)
