"""Scheduled sampling (Bengio et al. 2015): which inputs are the model's own samples, and how many."""

from pathlib import Path

import pytest
import torch
from factories import chi_squared_p, fit_captioner, small_config
from torch import Tensor
from torch.nn.functional import cross_entropy

from showattend.data.batches import Batch
from showattend.errors import InputError
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.training.captioner import LitCaptioner
from showattend.training.scheduled_sampling import sample_decoder_inputs
from showattend.vocabulary import PAD, START

V, L, D, N = 9, 4, 6, 400


@pytest.fixture
def decoder() -> Decoder:
    config = DecoderConfig(embedding_size=5, hidden_size=7, attention_size=4, dropout=0.0)
    decoder = Decoder(config, vocabulary_size=V, encoder_dim=D).eval()
    with torch.no_grad():
        decoder.output.weight.mul_(6)  # outputs that depend on the inputs
        decoder.embedding.weight.mul_(10)
    return decoder


def captions(length: int = 5) -> Tensor:
    words = torch.randint(4, V, (N, 2, length))
    words[..., 0] = START
    words[: N // 2, :, 3:] = PAD
    return words


def test_a_share_of_zero_replaces_nothing_and_a_share_of_one_all_but_start_and_padding(decoder: Decoder) -> None:
    encoder_features, words = torch.randn(N, L, D), captions()
    assert torch.equal(sample_decoder_inputs(decoder, encoder_features, words, 0.0), words)
    mixed = sample_decoder_inputs(decoder, encoder_features, words, 1.0)
    assert (mixed[..., 0] == START).all()
    assert torch.equal(mixed == PAD, words == PAD)
    assert not (mixed[..., 1:] == START).any()


def test_the_share_is_the_share_of_tokens_that_are_replaced(decoder: Decoder) -> None:
    """With a token that only the decoder generates, every replaced one can be counted."""
    with torch.no_grad():
        decoder.output.bias[3] = 100.0
    words = captions()
    mixed = sample_decoder_inputs(decoder, torch.randn(N, L, D), words, 0.3)
    mask = (words != PAD) & (words != START)
    replaced = (mixed == 3)[mask].float()
    assert replaced.mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / len(replaced)) ** 0.5)
    assert torch.equal(mixed[mixed != 3], words[mixed != 3])


def test_tokens_are_sampled_from_the_probabilities_after_the_mixed_inputs(decoder: Decoder) -> None:
    """One photo many times: the second and third words have the frequencies of the decoder's own probabilities."""
    encoder_features = torch.randn(1, L, D).expand(N, -1, -1)
    words = torch.full((N, 20, 3), 5)
    words[..., 0] = START
    mixed = sample_decoder_inputs(decoder, encoder_features, words, 1.0).flatten(0, 1)
    cache, state = decoder.init_state(encoder_features[:1])
    logits, state, _ = decoder.step(torch.tensor([START]), state, cache)
    assert_sampled_from(mixed[:, 1], logits[0])
    second = int(mixed[:, 1].mode().values)
    logits, _, _ = decoder.step(torch.tensor([second]), state, cache)
    assert_sampled_from(mixed[mixed[:, 1] == second, 2], logits[0])


def assert_sampled_from(words: Tensor, logits: Tensor) -> None:
    """The chi-squared test, at one in a thousand."""
    logits = logits.detach().index_fill(0, torch.tensor([PAD, START]), -torch.inf)
    assert chi_squared_p(torch.bincount(words, minlength=V), logits.softmax(-1) * len(words)) > 0.001


def test_the_share_rises_linearly_and_the_model_trains(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_targets_stay_the_reference_s_tokens(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the inputs are, the loss asks for the words of the references."""
    model: LitCaptioner = fit_captioner(shapes, tmp_path, steps=2, decoder={"dropout": 0.0}).eval()
    batch: Batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids)
    changed = torch.where(input_ids > START, 5, input_ids)
    monkeypatch.setattr(model, "_scheduled_inputs", lambda features, input_ids: changed)
    nll = cross_entropy(model.network(batch.photos, changed).logits, flatten_tokens(target_ids, mask))
    assert model._losses(batch)[0].item() == pytest.approx(nll.item(), rel=1e-5)


def test_a_training_without_an_end_is_refused(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="until the end of training"):
        fit_captioner(
            shapes, tmp_path, steps=-1, trainer={"max_epochs": -1}, loss={"scheduled_sampling": 0.5}, optimizer={"schedule": "constant"}
        )


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(InputError, match="scheduled_sampling"):
        small_config(loss={"scheduled_sampling": 2.0})
