"""Log-probabilities of given captions: against search, against each other, and as a distribution."""

from pathlib import Path

import pytest
import torch

from showattend import Captioner
from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.models.inputs import Pixels
from showattend.vocabulary import END, PAD, START


@pytest.fixture
def photo(shapes: Path) -> Path:
    return min((shapes / "images").iterdir())


@pytest.fixture
def captioner(model: Path) -> Captioner:
    return Captioner.from_pretrained(model, device="cpu")


def test_the_caption_of_greedy_search_has_the_same_score_when_it_is_given(captioner: Captioner, photo: Path) -> None:
    greedy = captioner.caption(photo, GenerationConfig(beam=1, max_length=20))
    (score,) = captioner.score(photo, [str(greedy)])
    assert score.caption.words == greedy.words
    assert score.caption.score == pytest.approx(greedy.score, abs=1e-4)
    assert torch.allclose(score.caption.alphas, greedy.alphas, atol=1e-5)
    assert (score.caption.crop_box, score.caption.grid_box) == (greedy.crop_box, greedy.grid_box)
    assert score.unknown == []


def test_a_caption_has_the_same_score_alone_and_among_others(captioner: Captioner, photo: Path) -> None:
    captions = ["a red star", "the large blue circle is above a small star", "star"]
    for caption, score in zip(captions, captioner.score(photo, captions), strict=True):
        (alone,) = captioner.score(photo, [caption])
        assert torch.allclose(score.log_probs, alone.log_probs, atol=1e-5)
        assert torch.allclose(score.caption.alphas, alone.caption.alphas, atol=1e-5)
        assert score.caption.score == pytest.approx(score.log_probs.sum().item())


def test_the_probabilities_of_all_first_words_sum_to_one(captioner: Captioner, photo: Path) -> None:
    words = [token for token in captioner.model.vocabulary.tokens if not token.startswith("<")]
    known = sum(score.log_probs[0].exp().item() for score in captioner.score(photo, words))
    (unknown,) = captioner.score(photo, ["zebra"])
    assert unknown.unknown == ["zebra"]
    network, preprocessing = captioner.model.network, captioner.model.preprocessing
    with torch.inference_mode():
        step, state = network.make_step_function(Pixels(preprocessing.load(photo)[0].unsqueeze(0)))
        no_words = step(torch.tensor([START]), state)[0][0, [PAD, START, END]].exp().sum().item()
    assert known + unknown.log_probs[0].exp().item() + no_words == pytest.approx(1, abs=1e-4)


def test_no_captions_have_no_scores(captioner: Captioner, photo: Path) -> None:
    assert captioner.score(photo, []) == []


def test_a_caption_without_words_is_refused(captioner: Captioner, photo: Path) -> None:
    with pytest.raises(InputError, match="no words"):
        captioner.score(photo, ["!"])
