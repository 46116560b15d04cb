"""Photo files in batches, with and without worker processes."""

import resource
from pathlib import Path

import pytest
import torch
from PIL import Image

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


def test_no_worker_starts_where_too_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_workers(2) == 2
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    assert usable_workers(2) == 0
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert usable_workers(2) == 2
