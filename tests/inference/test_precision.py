"""The precision of a captioner's products: what auto takes, what it remembers, and captions in every precision."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from factories import untrained_model
from PIL import Image

from showattend.cli.main import main
from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.inference import Captioner, precision
from showattend.inference.precision import bfloat16_gain, choose_precision, machine_name

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that remembers, in an empty cache folder; the processor multiplies bfloat16."""
    monkeypatch.setenv("SHOWATTEND_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    return tmp_path / "precision.json"


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(("gain", "taken"), [(5.0, "bf16"), (1.4, "32")])
def test_auto_takes_bfloat16_where_it_is_faster_and_says_so(gain: float, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_measure", lambda: gain)
    choice = choose_precision("auto", CPU)
    assert choice.name == taken
    assert f"precision {taken}: products of bfloat16 are {gain} times as fast" in choice.note
    assert choose_precision("int8", CPU).note == ""


def test_auto_stays_with_float32_without_products_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "_measure", lambda: 1 / 0)
    assert choose_precision("auto", CPU).name == "32"
    assert choose_precision("auto", torch.device("meta")).name == "32"


def test_the_gain_is_measured_once_and_remembered(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bfloat16_gain() > 0
    assert json.loads(cache.read_text()).keys() == {machine_name()}
    monkeypatch.setattr(precision, "_measure", lambda: 1 / 0)
    assert bfloat16_gain() == json.loads(cache.read_text())[machine_name()]


@pytest.mark.parametrize("content", ["", "[1]", '{"m": "fast"}', "\x00", '{"m": NaN}'])
def test_what_is_no_memory_is_written_anew(content: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text(content.replace('"m"', json.dumps(machine_name())))
    monkeypatch.setattr(precision, "_measure", lambda: 2.5)
    assert bfloat16_gain() == 2.5
    assert json.loads(cache.read_text()) == {machine_name(): 2.5}


def test_the_memory_of_many_machines_stays_short(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text(json.dumps({str(n): 1.0 for n in range(500)}))
    monkeypatch.setattr(precision, "_measure", lambda: 2.5)
    assert bfloat16_gain() == 2.5
    assert len(json.loads(cache.read_text())) == precision.MAX_REMEMBERED


def test_a_cache_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHOWATTEND_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(precision, "_measure", lambda: 2.5)
    assert bfloat16_gain() == 2.5


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="bf16"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize(
    ("cell", "attention"),
    [("lstm", "soft"), ("mgu", "soft"), ("sru", "soft"), ("gru", "adaptive"), ("lstm", "dot"), ("gru", "multi_head"), ("lstm", "mean")],
)
def test_captions_scores_and_details_in_bfloat16_are_near_those_in_float32(cell: str, attention: str) -> None:
    model, photo = untrained_model(cell=cell, attention=attention), torch.randint(256, (64, 64, 3), dtype=torch.uint8).numpy()
    exact, rounded = (Captioner(model, "cpu", precision=name) for name in ("32", "bf16"))
    scores = [captioner.score(photo, ["a red star"], details=True)[0] for captioner in (exact, rounded)]
    assert torch.allclose(scores[0].log_probs, scores[1].log_probs, atol=0.05)
    assert not torch.equal(scores[0].log_probs, scores[1].log_probs)
    torch.testing.assert_close(scores[1].caption.alphas, scores[0].caption.alphas, rtol=0.1, atol=1e-4)
    config = GenerationConfig(2, 6, min_length=2)
    captions = [captioner.caption(photo, config, details=True) for captioner in (exact, rounded)]
    assert captions[0].score == pytest.approx(captions[1].score, abs=0.1)
    assert captions[1].alphas.dtype == torch.float32
    assert rounded.gates(photo, config)[0].words == captions[1].words
    assert captions[1].alphas[0].sum() == pytest.approx(1, abs=0.02) or attention == "adaptive", "the sentinel takes its share"


def test_the_commands_say_what_auto_took(
    model: Path, shapes: Path, cache: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    photo = next((shapes / "images").glob("test*"))
    cache.write_text(json.dumps({machine_name(): 7.25}))
    outputs = []
    for options in ([], ["--precision", "auto"], ["--precision", "bf16"], ["--precision", "32"]):
        assert main(["caption", str(photo), "--model", str(model), *options]) == 0
        outputs.append(capsys.readouterr())
    assert [output.err.count("precision bf16: products of bfloat16 are 7.2 times") for output in outputs] == [1, 1, 0, 0]
    assert len({output.out.split("\t")[-1] for output in outputs}) == 1
    assert "precision 'bf'" in refused("score", photo, "a red star", "--model", model, "--precision", "bf")


@pytest.mark.parametrize("name", ["bf16", "int8"])
def test_a_model_of_a_training_in_double_precision_captions_in_less(name: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.effect_noise((40, 30), 90).save(photo)
    single, double = untrained_model(), untrained_model()
    double.network.double().load_state_dict(single.network.state_dict())
    config = GenerationConfig(2, 6, min_length=3)
    expected = Captioner(single, CPU, precision=name).caption(photo, config)
    assert Captioner(double, CPU, precision=name).caption(photo, config).score == expected.score
