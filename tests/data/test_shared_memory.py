"""Worker processes and the shared memory that their batches need."""

from collections import namedtuple

import pytest

from showattend.data import shared_memory
from showattend.data.shared_memory import workers_that_fit

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("batch_bytes", "workers"), [(2**20, 4), (10 * 2**20, 2), (2**25, 0)])
def test_no_more_workers_than_shared_memory_holds_batches_of(
    batch_bytes: int, workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda path: Usage(2**26, 0, 2**26))
    assert workers_that_fit(4, batch_bytes) == workers
    assert ("64 MB" in capsys.readouterr().err) == (workers < 4)
