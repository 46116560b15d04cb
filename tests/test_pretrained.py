"""Model folders: saving and loading give an equal model, and damaged, changed or hostile folders are refused."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from factories import VOCABULARY, rehash, untrained_model
from PIL import Image
from safetensors.torch import load_file, save_file

from showattend import Captioner
from showattend.cells import cell_names
from showattend.errors import InputError
from showattend.models.inputs import Pixels
from showattend.pretrained import load_pretrained, save_pretrained
from showattend.pretrained.card import Evaluation, model_card


@pytest.mark.parametrize(
    ("encoder", "cell"), [("tiny", cell) for cell in cell_names()] + [("mobilenet_v2", "lstm"), ("regnet_y_400mf", "lstm")]
)
def test_a_loaded_model_is_the_saved_one(encoder: str, cell: str, tmp_path: Path) -> None:
    model = untrained_model(encoder, cell)
    save_pretrained(replace(model, trained_on="nothing"), tmp_path / "model")
    back = load_pretrained(tmp_path / "model")
    assert (back.vocabulary, back.preprocessing, back.generation, back.metrics) == (
        VOCABULARY,
        model.preprocessing,
        model.generation,
        model.metrics,
    )
    photos = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    mine, theirs = (one.network.caption(Pixels(photos), one.generation) for one in (model, back))
    assert torch.equal(mine.token_ids, theirs.token_ids)
    assert torch.allclose(mine.scores, theirs.scores, atol=1e-5)


def test_the_folder_is_complete_and_readable_by_others(tmp_path: Path) -> None:
    save_pretrained(replace(untrained_model(), trained_on="a test " + os.fsdecode(b"\xff")), tmp_path / "model")
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
    assert load_pretrained(tmp_path / "model").trained_on == "a test \\udcff"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_card_draws_the_same_twenty_photos_for_every_model_and_shows_text_as_it_is() -> None:
    def card(caption: str) -> str:
        captions = {photo: (caption, (f"<b>{photo}</b> | [a](http://b)",)) for photo in range(30)}
        diversity = {"words": 2, "repeated": 0.5}
        return model_card(untrained_model(), Evaluation("a test", {"BLEU-4": (0.5, None)}, "v1", (diversity, diversity), captions))

    rows = [row for row in card("a dog").splitlines() if "a dog" in row]
    assert len(rows) == 20
    assert rows == [row.replace("two cats", "a dog") for row in card("two cats").splitlines() if "two cats" in row]
    number = rows[0].split()[1]
    assert rows[0] == rf"| {number} | a dog | &lt;b&gt;{number}&lt;/b&gt; \| \[a\](http://b) |"


def test_a_card_goes_with_its_model(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("# Evaluated")
    Captioner.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_text() == "# Evaluated"
    (tmp_path / "model" / "README.md").unlink()
    assert load_pretrained(tmp_path / "model").card == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_the_card_s_place_is_not_waited_for(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "copy")
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    assert load_pretrained(folder).card == ""


def test_what_else_lies_in_a_model_s_folder_stays(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "clone")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "encoder.json").write_text("of another encoder")
    save_pretrained(load_pretrained(model), folder)
    assert (folder / ".git" / "HEAD").read_text() == "ref: refs/heads/main"
    assert sorted(path.name for path in folder.iterdir() if path.name != ".git") == sorted(path.name for path in model.iterdir())


def test_a_copied_folder_needs_nothing_else(model: Path, shapes: Path, tmp_path: Path) -> None:
    photo = next((shapes / "images").glob("test*"))
    expected = Captioner.from_pretrained(model, "cpu").caption(photo)
    caption = Captioner.from_pretrained(shutil.copytree(model, tmp_path / "copy"), "cpu").caption(Image.open(photo))
    assert caption.words == expected.words
    assert caption.score == pytest.approx(expected.score)
    assert torch.allclose(caption.alphas, expected.alphas)
    assert caption.alphas.shape == (len(caption.words), caption.grid_shape[0] * caption.grid_shape[1])
    assert torch.allclose(caption.alphas.sum(1), torch.ones(len(caption.words)))


def test_saving_replaces_a_model_but_nothing_else(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model")
    save_pretrained(untrained_model(cell="gru"), tmp_path / "model")
    assert load_pretrained(tmp_path / "model").network.decoder.config.cell == "gru"
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is no model"):
        save_pretrained(untrained_model(), tmp_path / "mine")


def change_config(folder: Path, **changes: object) -> None:
    """Replace entries of config.json; a name such as decoder__layers is one inside another."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name, value in changes.items():
        section, _, option = name.rpartition("__")
        (config[section] if section else config)[option] = value
    path.write_text(json.dumps(config))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An untrained model."""
    save_pretrained(untrained_model(), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generation": 3}, "generation is 3"),
        ({"sha256": []}, "sha256"),
        ({"generation__beam": 10**29}, "beam is 1000"),
        ({"generation__beam": 10**6}, "beam"),
        ({"preprocessing__image_size": 1.5}, "image_size is 1.5: give a whole number"),
        ({"preprocessing__image_size": 10**6}, "image_size"),
        ({"generation__max_length": 1.5}, "max_length"),
        ({"generation__length_penalty": float("nan")}, "length_penalty is nan"),
        ({"generation__ban": [99]}, "no token id"),
        ({"decoder__cell": ":x"}, "code outside showattend"),
        ({"decoder__cell": 3}, "cell is 3"),
        ({"decoder__cell": "lstmm"}, "did you mean 'lstm'"),
        ({"decoder__cell_options": "x"}, "cell_options"),
        ({"decoder__cell_options": {"initialisation": 3}}, "initialisation"),
        ({"decoder__cell_options": {"max_time": 10**12}}, "max_time"),
        ({"decoder__cell_options": {"a": [[[1]]]}}, "option a"),
        ({"decoder__attention_options": {"layers": 10**5}}, "layers"),
        ({"decoder__layers": 10**5}, "layers is 100000"),
        ({"decoder__init_layers": 10**5}, "init_layers is 100000"),
        ({"decoder__hidden_size": True}, "hidden_size is true"),
        ({"decoder__hiden_size": 8}, "did you mean 'hidden_size'"),
        ({"decoder__hidden_size": 10**12}, "hidden_size"),
        ({"vocabulary_size": 10**9}, "vocabulary_size"),
        ({"encoder_dim": 64}, "encoder_dim"),
        ({"encoder__stride": "8"}, "stride"),
        ({"encoder__name": "my:Encoder"}, "code outside showattend"),
        ({"encoder__name": "resnet18"}, "graph"),
        ({"encoder__name": "a/b"}, "unknown encoder"),
        ({"another": 1}, "unknown option"),
        ({"format": 2}, "train the model again"),
        ({"format": None}, "format None"),
    ],
)
def test_wrong_values_of_config_json_are_refused_in_one_line(changes: dict[str, object], message: str, folder: Path) -> None:
    change_config(folder, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_pretrained(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "3", "[" * 100_000, '{"format": ' + "1" * 5000 + "}", '{"format": 3}', ""])
def test_another_content_of_config_json_is_refused(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(InputError):
        load_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocabulary.json", "metrics.json"])
def test_a_file_that_leads_to_a_device_is_refused_unread(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{name} that is no regular file"):
        load_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocabulary.json", json.dumps([*VOCABULARY.tokens[:-1], 3])),
        ("vocabulary.json", json.dumps([*VOCABULARY.tokens[:-1], "\ud800"])),
        ("vocabulary.json", "{}"),
        ("metrics.json", "[]"),
        ("metrics.json", '{"bleu4": NaN}'),
        ("metrics.json", '{"bleu4": "<b>"}'),
    ],
)
def test_wrong_vocabulary_and_metrics_are_refused(name: str, content: str, folder: Path) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(name)):
        load_pretrained(folder)


def rewrite_weights(folder: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, folder / "model.safetensors")
    rehash(folder, "model.safetensors")


def test_weights_that_are_not_finite_are_neither_loaded_nor_saved(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["decoder.cell.weight_hh"][0, 0] = torch.inf
    rewrite_weights(folder, state)
    with pytest.raises(InputError, match=r"'decoder\.cell\.weight_hh' .* is not finite"):
        load_pretrained(folder)
    model = untrained_model()
    with torch.no_grad():
        model.network.decoder.output.bias.fill_(torch.nan)
    with pytest.raises(InputError, match=r"'decoder\.output\.bias' .* is not finite"):
        save_pretrained(model, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_weights_of_other_names_or_types_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    for change in ({"more": torch.ones(1)}, {"decoder.output.bias": state["decoder.output.bias"].int()}):
        rewrite_weights(folder, {**state, **change})
        with pytest.raises(InputError, match="do not fit"):
            load_pretrained(folder)


@pytest.mark.parametrize(("section", "option"), [("decoder", "cell"), ("decoder", "attention"), ("encoder", "name")])
def test_a_module_that_config_json_names_is_imported_only_if_it_is_trusted(
    section: str, option: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "stranger.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(folder)
    change_config(folder, **{f"{section}__{option}": "stranger:Part"})
    with pytest.raises(InputError, match="--trust stranger "):
        load_pretrained(folder)
    with pytest.raises(InputError, match="--trust stranger "):
        load_pretrained(folder, trust=["strange", "stranger:Other"])
    for trust in ("stranger", "stranger:Part"):
        with pytest.raises(SystemExit):
            load_pretrained(folder, trust=[trust])


OWN_CELL = """
import torch
from showattend.cells.base import RecurrentCell

class Decay(RecurrentCell):
    gates = ("g",)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.register_buffer("decay", torch.linspace(0.1, 0.9, self.hidden_size), persistent=False)
        self.scale = torch.tensor(2.0)

    def update(self, activations, state):
        (h,) = state
        return (self.decay * h + torch.tanh(self.scale * activations),)
"""


def test_tensors_of_one_s_own_cell_that_are_no_weights_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_cells.py").write_text(OWN_CELL)
    monkeypatch.syspath_prepend(tmp_path)
    model = untrained_model("tiny", cell="own_cells:Decay")
    save_pretrained(model, tmp_path / "model")
    random_state = torch.get_rng_state()
    loaded = load_pretrained(tmp_path / "model", trust=["own_cells"])
    assert torch.equal(torch.get_rng_state(), random_state)
    photo = Image.linear_gradient("L").convert("RGB")
    assert Captioner(loaded).caption(photo).score == Captioner(model).caption(photo).score


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.json", "encoder.json"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    save_pretrained(untrained_model("squeezenet1_1"), tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(InputError, match=re.escape(f"lacks {name}")):
        load_pretrained(tmp_path / "model")


def test_files_changed_after_saving_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_pretrained(untrained_model(), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-8] + b"\x00" * 8)
    with pytest.raises(InputError, match="not the file that config"):
        load_pretrained(folder)
    (folder / "model.safetensors").write_bytes(whole)
    swapped = [*VOCABULARY.tokens[:-2], VOCABULARY.tokens[-1], VOCABULARY.tokens[-2]]
    (folder / "vocabulary.json").write_text(json.dumps(swapped))
    with pytest.raises(InputError, match="not the file that config"):
        load_pretrained(folder)
    digests = json.loads((folder / "config.json").read_text())["sha256"]
    (folder / "vocabulary.json").write_text(json.dumps(VOCABULARY.tokens[:-1]))
    change_config(folder, sha256={name: digest for name, digest in digests.items() if name != "vocabulary.json"})
    with pytest.raises(InputError, match="not the vocabulary"):
        load_pretrained(folder)
    VOCABULARY.save(folder / "vocabulary.json")
    change_config(folder, format=99)
    with pytest.raises(InputError, match="format 99"):
        load_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        load_pretrained(folder)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_pretrained(untrained_model(), folder)
    decoder = json.loads((folder / "config.json").read_text())["decoder"]
    change_config(folder, decoder={**decoder, "hidden_size": 9})
    with pytest.raises(InputError, match="do not fit"):
        load_pretrained(folder)


def test_weights_of_the_decoder_are_in_the_safetensors_file(tmp_path: Path) -> None:
    save_pretrained(untrained_model(), tmp_path / "model")
    assert "decoder.cell.weight_hh" in load_file(tmp_path / "model" / "model.safetensors")


def test_a_folder_that_holds_a_model_is_answered_with_the_model(tmp_path: Path) -> None:
    run = tmp_path / "demo" / "run"
    save_pretrained(untrained_model(), run / "model")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").touch()
    for given in (run, tmp_path / "demo", run / "checkpoints", run / "checkpoints" / "best.ckpt"):
        with pytest.raises(InputError, match=re.escape(f"{given} is no model folder: give {run / 'model'}")):
            load_pretrained(given)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"):
        Captioner.from_pretrained(tmp_path / "nowhere")
