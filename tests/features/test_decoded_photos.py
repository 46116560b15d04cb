"""Photo files in batches, with and without worker processes."""

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from showattend.data.transforms import Preprocessing
from showattend.features.decoded_photos import decoded_batches, usable_workers


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_in_order_and_a_broken_file_has_a_reason(workers: int, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (9, 5), (number, 0, 0)).save(path)
    paths[1].write_text("no picture")
    first, second = decoded_batches(paths, Preprocessing(4), 2, workers)
    assert first.sizes == [(9, 5), (4, 4)]
    assert first.reasons[0] == ""
    assert "1.png: not a picture" in first.reasons[1]
    assert torch.equal(second.pixels[0, :, 0, 0], torch.tensor([2, 0, 0], dtype=torch.uint8))


def test_a_photo_that_kills_its_worker_has_a_reason_and_the_others_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        Image.new("RGB", (9, 5), (number, 0, 0)).save(path)
    real = Preprocessing.load

    def load(self: Preprocessing, path: Path) -> Any:
        if path.name in ("1.png", "6.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, path)

    monkeypatch.setattr(Preprocessing, "load", load)
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))  # seconds between looks at the workers
    batches = list(decoded_batches(iter(paths), Preprocessing(4), 2, 1))
    assert [reason for batch in batches for reason in batch.reasons if reason] == [
        f"{paths[number]}: the process that decodes it dies (SIGKILL)" for number in (1, 6)
    ]
    reds = torch.cat([batch.pixels[:, 0, 0, 0] for batch in batches])
    assert reds.tolist() == [0, 0, 2, 3, 4, 5, 0, 7, 8]


def test_no_worker_starts_where_too_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_workers(2) == 2
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    assert usable_workers(2) == 0
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert usable_workers(2) == 2
