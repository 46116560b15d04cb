"""The probability of captions that are given: one by one, together, and from the command line."""

import itertools
from pathlib import Path

import pytest
import torch

from showattend import Captioner
from showattend.cli.main import main
from showattend.decoding import GenerationConfig
from showattend.errors import InputError


@pytest.fixture
def photo(shapes: Path) -> Path:
    return min((shapes / "images").iterdir())


def test_what_greedy_search_says_has_the_score_that_search_gives_it(model: Path, photo: Path) -> None:
    captioner = Captioner.from_pretrained(model, device="cpu")
    said = captioner.caption(photo, GenerationConfig(beam=1, max_length=20))
    (found,) = captioner.score(photo, [str(said)])
    assert found.caption.words == said.words
    assert found.caption.score == pytest.approx(said.score, abs=1e-4)
    assert torch.allclose(found.caption.alphas, said.alphas, atol=1e-5)
    assert (found.caption.crop_box, found.caption.grid_box) == (said.crop_box, said.grid_box)
    assert found.unknown == []


def test_several_captions_score_what_each_scores_alone(model: Path, photo: Path) -> None:
    captioner = Captioner.from_pretrained(model, device="cpu")
    captions = ["a red star", "the large blue circle is above a small star", "star"]
    for caption, ensemble_step in zip(captions, captioner.score(photo, captions), strict=True):
        (alone,) = captioner.score(photo, [caption])
        assert torch.allclose(ensemble_step.log_probs, alone.log_probs, atol=1e-5)
        assert torch.allclose(ensemble_step.caption.alphas, alone.caption.alphas, atol=1e-5)
        assert ensemble_step.caption.score == pytest.approx(ensemble_step.log_probs.sum().item())


def test_the_probabilities_of_all_first_words_sum_to_one(model: Path, photo: Path) -> None:
    captioner = Captioner.from_pretrained(model, device="cpu")
    vocabulary = captioner.model.vocabulary
    words = [word for word in vocabulary.tokens if not word.startswith("<")]
    known = captioner.score(photo, words)
    first = sum(found.log_probs[0].exp().item() for found in known)
    unknown = captioner.score(photo, ["zebra"])[0]
    assert unknown.unknown == ["zebra"]
    # What is left belongs to <pad>, <start> and <end>, which are no first words.
    assert 0.9 < first + unknown.log_probs[0].exp().item() <= 1 + 1e-4


def test_from_the_command_line(model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "looked.png"
    assert main(["score", str(photo), "A red zebra!", "--model", str(model), "--out", str(figure)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in itertools.takewhile(lambda line: line.startswith("  "), lines)] == ["a", "red", "zebra", "<end>"]
    assert "not in the model's vocabulary" in lines[2]
    total = sum(float(line.split()[1]) for line in lines[:4])
    assert float(lines[4].split()[0]) == pytest.approx(total, abs=0.01)
    assert figure.stat().st_size > 10_000


def test_nothing_to_score_is_refused(model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no words"):
        Captioner.from_pretrained(model).score(photo, ["!"])
    assert main(["score", str(photo), "a", "b", "--model", str(model), "--out", str(tmp_path / "x.png")]) == 2
    assert "one caption" in capsys.readouterr().err
