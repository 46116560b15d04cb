"""What `data.cache` keeps changes the speed of a training and not what is learnt, up to the rounding of what is kept."""

from pathlib import Path

import pytest
import torch
from factories import fit_captioner
from torch import Tensor
from torchvision.models import squeezenet1_1

from showattend.data.block_shuffle import BlockShuffledBatches
from showattend.errors import InputError
from showattend.models.inputs import Features, Pixels


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that make an encoder frozen."""
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path


def train(shapes: Path, weights: Path, folder: Path, steps: int = 3, **data: object) -> tuple[Tensor, type]:
    """The decoder's weights after some steps, and what its batches held."""
    lit = fit_captioner(shapes, folder, steps=steps, data=data, encoder={"name": "squeezenet1_1", "weights": str(weights)})
    assert not any(parameter.requires_grad for parameter in lit.network.encoder.parameters())
    batch = next(iter(lit.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    decoder = [parameter.detach().flatten() for parameter in lit.network.decoder.parameters()]
    return torch.cat(decoder), type(batch.photos)


def test_every_choice_learns_the_same(shapes: Path, weights: Path, tmp_path: Path) -> None:
    expected, kind = train(shapes, weights, tmp_path)
    assert kind is Features
    from_pixels, kind = train(shapes, weights, tmp_path, cache="pixels")
    assert kind is Pixels
    from_files, kind = train(shapes, weights, tmp_path, cache="none")
    assert kind is Pixels
    assert torch.equal(from_pixels, from_files)
    start, _ = train(shapes, weights, tmp_path, steps=0)
    moved = (expected - start).norm()
    assert (expected - from_pixels).norm() < 0.2 * moved
    other_batches, _ = train(shapes, weights, tmp_path, batch_size=4)
    assert (expected - other_batches).norm() > 0.5 * moved, "another training is farther away"
    from_int8, kind = train(shapes, weights, tmp_path, cache="int8")
    assert kind is Features
    assert (expected - from_int8).norm() < 0.2 * moved
    assert not torch.equal(expected, from_int8)
    from_bfloat16, kind = train(shapes, weights, tmp_path, precision="bf16")
    assert kind is Features
    assert (expected - from_bfloat16).norm() < 0.2 * moved
    assert not torch.equal(expected, from_bfloat16)


def test_random_crops_need_pixels(shapes: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give --data\.cache pixels"):
        train(shapes, weights, tmp_path, crop=0.5)
    whole, _ = train(shapes, weights, tmp_path, cache="pixels")
    cropped, kind = train(shapes, weights, tmp_path, crop=0.5, cache="pixels")
    assert kind is Pixels
    assert not torch.allclose(whole, cropped, atol=1e-4)


def test_a_shuffle_buffer_reads_blocks(shapes: Path, tmp_path: Path) -> None:
    lit = fit_captioner(shapes, tmp_path, data={"shuffle_buffer": 64})
    loader = lit.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
    batches = loader.batch_sampler.sampler
    assert isinstance(batches, BlockShuffledBatches)
    photos = sorted(key.photo for batch in batches for key in batch)
    assert photos == list(range(len(loader.dataset)))
