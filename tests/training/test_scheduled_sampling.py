"""Scheduled sampling (Bengio et al. 2015): which words are heard, and how many of them are the model's own."""

from pathlib import Path

import pytest
import torch
from factories import chi_squared_p, fit_captioner, small_config
from torch import Tensor

from showattend.data.batches import Batch
from showattend.errors import InputError
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.training.captioner import LitCaptioner
from showattend.training.scheduled_sampling import sample_decoder_inputs
from showattend.vocabulary import PAD, START

V, L, D, N = 9, 4, 6, 400


@pytest.fixture
def decoder() -> Decoder:
    config = DecoderConfig(embedding_size=5, hidden_size=7, attention_size=4, dropout=0.0)
    decoder = Decoder(config, vocabulary_size=V, encoder_dim=D).eval()
    with torch.no_grad():
        decoder.output.weight.mul_(6)  # words that depend on what was heard
        decoder.embedding.weight.mul_(10)
    return decoder


def captions(length: int = 5) -> Tensor:
    words = torch.randint(4, V, (N, 2, length))
    words[..., 0] = START
    words[: N // 2, :, 3:] = PAD
    return words


def test_a_share_of_nothing_leaves_all_and_a_share_of_one_leaves_start_and_padding(decoder: Decoder) -> None:
    encoder_features, words = torch.randn(N, L, D), captions()
    assert torch.equal(sample_decoder_inputs(decoder, encoder_features, words, 0.0), words)
    mixed = sample_decoder_inputs(decoder, encoder_features, words, 1.0)
    assert (mixed[..., 0] == START).all()
    assert torch.equal(mixed == PAD, words == PAD)
    assert not (mixed[..., 1:] == START).any()


def test_the_share_is_the_share_of_words_that_are_drawn(decoder: Decoder) -> None:
    """With a word that only the decoder says, every drawn one can be counted."""
    with torch.no_grad():
        decoder.output.bias[3] = 100.0
    words = captions()
    mixed = sample_decoder_inputs(decoder, torch.randn(N, L, D), words, 0.3)
    there = (words != PAD) & (words != START)
    drawn = (mixed == 3)[there].float()
    assert drawn.mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / len(drawn)) ** 0.5)
    assert torch.equal(mixed[mixed != 3], words[mixed != 3])


def test_words_are_drawn_by_the_probabilities_after_what_was_heard(decoder: Decoder) -> None:
    """One photo many times: the second and third words have the frequencies of the decoder's own probabilities."""
    encoder_features = torch.randn(1, L, D).expand(N, -1, -1)
    words = torch.full((N, 20, 3), 5)
    words[..., 0] = START
    mixed = sample_decoder_inputs(decoder, encoder_features, words, 1.0).flatten(0, 1)
    memory, state = decoder.init_state(encoder_features[:1])
    logits, state, _ = decoder.step(torch.tensor([START]), state, memory)
    assert_drawn_from(mixed[:, 1], logits[0])
    second = int(mixed[:, 1].mode().values)
    logits, _, _ = decoder.step(torch.tensor([second]), state, memory)
    assert_drawn_from(mixed[mixed[:, 1] == second, 2], logits[0])


def assert_drawn_from(words: Tensor, logits: Tensor) -> None:
    """The chi-squared test, at one in a thousand."""
    logits = logits.detach().index_fill(0, torch.tensor([PAD, START]), -torch.inf)
    assert chi_squared_p(torch.bincount(words, minlength=V), logits.softmax(-1) * len(words)) > 0.001


def test_it_rises_in_a_straight_line_and_trains(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import showattend.training.captioner as module

    shares = []

    def spy(decoder: Decoder, encoder_features: Tensor, words: Tensor, share: float) -> Tensor:
        shares.append(share)
        return sample_decoder_inputs(decoder, encoder_features, words, share)

    monkeypatch.setattr(module, "sample_decoder_inputs", spy)
    fit_captioner(shapes, tmp_path, steps=4, loss={"scheduled_sampling": 0.5})
    assert shares == pytest.approx([0.0, 0.125, 0.25, 0.375])
    shares.clear()
    fit_captioner(shapes, tmp_path, steps=2)
    assert not shares


def test_people_s_words_are_still_what_is_to_be_said(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is heard, the loss asks for the reference: hearing it unchanged gives the loss of teacher forcing."""
    model: LitCaptioner = fit_captioner(shapes, tmp_path, steps=2, decoder={"dropout": 0.0}).eval()
    batch: Batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    plain = model._losses(batch)[0]
    monkeypatch.setattr(model, "_scheduled_inputs", lambda batch, heard: heard.clone())
    assert torch.equal(model._losses(batch)[0], plain)
    monkeypatch.setattr(model, "_scheduled_inputs", lambda batch, heard: torch.where(heard > START, 5, heard))
    assert not torch.equal(model._losses(batch)[0], plain)


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(InputError, match="scheduled_sampling"):
        small_config(loss={"scheduled_sampling": 2.0})
