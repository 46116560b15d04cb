"""`showattend neighbors` adds the photos of the training to a model folder, and `--neighbors` ranks captions by them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from factories import rehash
from safetensors.torch import load_file, save_file
from torch import Tensor

from showattend.cli.main import main
from showattend.data.captions import read_captions
from showattend.errors import InputError
from showattend.generation_config import MAX_LENGTH
from showattend.inference import Captioner
from showattend.inference.neighbors import neighbors_of
from showattend.model_files import NEIGHBORS
from showattend.pretrained import load_pretrained, save_pretrained


@pytest.fixture(scope="module")
def with_neighbors(model: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(model, tmp_path_factory.mktemp("neighbors") / "model")
    arguments = ("neighbors", "--model", folder, "--data.root", shapes, "--data.cache_dir", model.parents[1] / "cache")
    assert main([str(argument) for argument in arguments]) == 0
    return folder


def test_the_photos_of_the_training_are_there_with_their_captions(with_neighbors: Path, shapes: Path) -> None:
    model = load_pretrained(with_neighbors)
    assert model.neighbors
    photos = read_captions(shapes).split("train")
    assert model.neighbors.features.shape == (len(photos), model.network.encoder.channels)
    captions = [[model.vocabulary.decode(caption) for caption in own] for own in model.neighbors.token_ids.tolist()]
    assert captions == [[model.vocabulary.tokenize(caption) for caption in photo.captions] for photo in photos]


def test_a_photo_of_the_training_counts_most_for_itself(with_neighbors: Path, shapes: Path) -> None:
    captioner = Captioner.from_pretrained(with_neighbors)
    photos = read_captions(shapes).split("train")[:5]
    pixels = torch.stack([captioner.model.preprocessing.load(photo.path)[0] for photo in photos])
    (wait,) = captioner.ensemble.submit(pixels)
    assert captioner.ensemble.neighbors
    assert captioner.ensemble.neighbors.weights(wait().features).argmax(1).tolist() == list(range(5))


@pytest.mark.parametrize("limit", [3, 7])
def test_of_too_many_photos_some_are_drawn(limit: int, model: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("showattend.inference.neighbors.MAX_NEIGHBORS", limit)
    pretrained, photos = load_pretrained(model), read_captions(shapes).split("train")
    drawn, broken = neighbors_of(pretrained, photos, model.parents[1] / "cache", device=torch.device("cpu"))
    assert broken == 0
    assert len(drawn.features) == len(drawn.token_ids) == limit
    captions = [[pretrained.vocabulary.decode(caption) for caption in own] for own in drawn.token_ids.tolist()]
    of_photos = [[pretrained.vocabulary.tokenize(caption) for caption in photo.captions] for photo in photos]
    assert all(own in of_photos for own in captions)


@pytest.mark.parametrize("limit", [2**13, 45])
def test_all_photos_that_cannot_be_read_are_counted_also_where_some_are_drawn(
    limit: int, model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("showattend.inference.neighbors.MAX_NEIGHBORS", limit)
    folder, data = shutil.copytree(model, tmp_path / "model"), shutil.copytree(shapes, tmp_path / "data")
    for photo in read_captions(data).split("train")[:2]:
        photo.path.write_bytes(b"no picture")
    arguments = ("neighbors", "--model", folder, "--data.root", data, "--data.cache_dir", tmp_path / "cache")
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    assert "2 of 48 photos could not be read, left out" in printed.err
    assert f"{min(limit, 46)} photos in" in printed.out


def test_a_caption_is_one_of_those_of_the_beams_whatever_the_batch(
    with_neighbors: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def caption(*options: object) -> list[str]:
        assert main(["caption", str(shapes / "images" / "test*"), "--model", str(with_neighbors), *map(str, options)]) == 0
        return capsys.readouterr().out.splitlines()

    capsys.readouterr()
    found = {(photo, text) for photo, _, text in (line.split("\t") for line in caption("--num-captions", 4))}
    chosen = caption("--beam", 4, "--neighbors")
    assert {tuple(line.split("\t")) for line in chosen} <= found
    assert caption("--beam", 4, "--neighbors", "--batch-size", 3) == chosen


def test_a_model_without_neighbors_and_other_rankings_are_refused(
    model: Path, with_neighbors: Path, shapes: Path, refused: Callable[..., str]
) -> None:
    photos = shapes / "images"
    assert "showattend neighbors --model DIR" in refused("caption", photos, "--model", model, "--neighbors")
    assert "showattend neighbors --model DIR" in refused("evaluate", "--data.root", shapes, "--model", model, "--neighbors")
    assert "leave out all but one" in refused("caption", photos, "--model", with_neighbors, "--neighbors", "--consensus")
    assert "give a beam of 5" in refused("caption", photos, "--model", with_neighbors, "--neighbors", "--beam", 1)
    assert "no model folder at" in refused("neighbors", "--model", photos / "none", "--data.root", shapes)
    assert "neighbors" in refused("fit", "--config", "shapes", "--data.root", shapes, "--model.generation.neighbors", 5)


def test_neighbors_stay_with_a_model_that_is_saved_again(with_neighbors: Path, tmp_path: Path) -> None:
    model = load_pretrained(with_neighbors)
    save_pretrained(model, tmp_path / "again")
    again = load_pretrained(tmp_path / "again").neighbors
    assert model.neighbors
    assert again
    for name, tensor in model.neighbors.tensors().items():
        assert torch.equal(tensor, again.tensors()[name])


def first(value: float) -> Callable[[Tensor], Tensor]:
    """Change the first number of a tensor."""

    def change(tensor: Tensor) -> Tensor:
        tensor.view(-1)[0] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("features", lambda tensor: tensor[:-1], "does not fit"),
        ("features", lambda tensor: tensor.float(), "does not fit"),
        ("features", first(float("nan")), "not finite"),
        ("features", first(2.0), "longer than 1"),
        ("mean", lambda tensor: tensor[:-1], "does not fit"),
        ("mean", first(float("inf")), "not finite"),
        ("scale", first(0.0), "not above zero"),
        ("token_ids", lambda tensor: tensor[:, 0], "does not fit"),
        ("token_ids", lambda tensor: tensor[:, :, :0], "does not fit"),
        ("token_ids", lambda tensor: torch.zeros(len(tensor), 1, MAX_LENGTH + 1, dtype=torch.int32), "does not fit"),
        ("token_ids", first(-1), "not in the vocabulary"),
        ("token_ids", first(10**6), "not in the vocabulary"),
        ("other", lambda _: torch.zeros(1), "no neighbors"),
    ],
)
def test_a_damaged_file_is_refused(
    name: str, change: Callable[[Tensor], Tensor], message: str, with_neighbors: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(with_neighbors, tmp_path / "damaged")
    tensors = load_file(folder / NEIGHBORS)
    save_file(tensors | {name: change(tensors.get(name, torch.zeros(0)).clone()).contiguous()}, folder / NEIGHBORS)
    with pytest.raises(InputError, match="not the file that config"):
        load_pretrained(folder)
    rehash(folder, NEIGHBORS)
    with pytest.raises(InputError, match=message):
        load_pretrained(folder)


def test_a_file_that_is_missing_or_no_tensors_is_refused(with_neighbors: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(with_neighbors, tmp_path / "damaged")
    (folder / NEIGHBORS).write_bytes(b"no tensors")
    rehash(folder, NEIGHBORS)
    with pytest.raises(InputError, match="are damaged"):
        load_pretrained(folder)
    (folder / NEIGHBORS).unlink()
    with pytest.raises(InputError, match=f"lacks {NEIGHBORS}"):
        load_pretrained(folder)
