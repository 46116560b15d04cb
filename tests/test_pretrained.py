import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from factories import VOCABULARY, untrained_model
from PIL import Image
from safetensors.torch import load_file

from showattend import Captioner
from showattend.cells import cell_names
from showattend.errors import InputError
from showattend.models.inputs import Pixels
from showattend.pretrained import load_pretrained, save_pretrained


@pytest.mark.parametrize(
    ("encoder", "cell"), [("tiny", cell) for cell in cell_names()] + [("mobilenet_v2", "lstm"), ("regnet_y_400mf", "lstm")]
)
def test_what_comes_back_is_what_was_saved(encoder: str, cell: str, tmp_path: Path) -> None:
    model = untrained_model(encoder, cell)
    save_pretrained(model, tmp_path / "model", trained_on="nothing")
    back = load_pretrained(tmp_path / "model")
    assert (back.vocabulary, back.preprocessing, back.search, back.metrics) == (
        VOCABULARY,
        model.preprocessing,
        model.search,
        model.metrics,
    )
    photos = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    mine, theirs = (one.network.caption(Pixels(photos), one.search) for one in (model, back))
    assert torch.equal(mine.token_ids, theirs.token_ids)
    assert torch.allclose(mine.scores, theirs.scores, atol=1e-5)


def test_the_folder_is_readable_by_people_and_complete(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model", trained_on="a test")
    assert all(path.stat().st_mode & 0o044 for path in (tmp_path / "model").iterdir())  # by others than the owner too
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.safetensors",
        "vocabulary.json",
        "config.json",
        "metrics.json",
        "README.md",
    }
    card = (tmp_path / "model" / "README.md").read_text()
    assert "a test" in card
    assert "0.5000" in card
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_copied_folder_captions_by_itself(model: Path, shapes: Path, tmp_path: Path) -> None:
    photo = next((shapes / "images").glob("test*"))
    expected = Captioner.from_pretrained(model).caption(photo)
    found = Captioner.from_pretrained(shutil.copytree(model, tmp_path / "copy")).caption(Image.open(photo))
    assert found.words == expected.words
    assert found.score == pytest.approx(expected.score)
    assert torch.allclose(found.alphas, expected.alphas)
    assert found.alphas.shape == (len(found.words), found.grid_shape[0] * found.grid_shape[1])
    assert torch.allclose(found.alphas.sum(1), torch.ones(len(found.words)))


def test_saving_replaces_a_model_but_nothing_else(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model")
    save_pretrained(untrained_model(cell="gru"), tmp_path / "model")
    assert load_pretrained(tmp_path / "model").network.decoder.config.cell == "gru"
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is no model"):
        save_pretrained(untrained_model(), tmp_path / "mine")


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.json", "encoder.json"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    save_pretrained(untrained_model("squeezenet1_1"), tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(InputError, match=re.escape(f"lacks {name}")):
        load_pretrained(tmp_path / "model")


def test_damage_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_pretrained(untrained_model(), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-8] + b"\x00" * 8)
    with pytest.raises(InputError, match="not the file that config"):
        load_pretrained(folder)
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "vocabulary.json").write_text(json.dumps(VOCABULARY.tokens[:-1]))
    with pytest.raises(InputError, match="not the vocabulary"):
        load_pretrained(folder)
    VOCABULARY.save(folder / "vocabulary.json")
    change_config(folder, format=99)
    with pytest.raises(InputError, match="format 99"):
        load_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        load_pretrained(folder)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_pretrained(untrained_model(), folder)
    decoder = json.loads((folder / "config.json").read_text())["decoder"]
    change_config(folder, decoder={**decoder, "hidden_size": 9})
    with pytest.raises(InputError, match="do not fit"):
        load_pretrained(folder)


def test_weights_are_plain_tensors(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model")
    assert "decoder.cell.weight_hh" in load_file(tmp_path / "model" / "model.safetensors")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"):
        Captioner.from_pretrained(tmp_path / "nowhere")
