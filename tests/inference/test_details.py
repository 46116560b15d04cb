"""What a caption holds of each word after the second pass: probabilities, the gate beta, sampled locations, gates of the cell."""

import pytest
import torch
from factories import VOCABULARY
from PIL import Image

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, make_encoder
from showattend.inference import Captioner
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import Pretrained


def make_model(seed: int = 0, **options: object) -> Pretrained:
    torch.manual_seed(seed)
    encoder = make_encoder(EncoderConfig("tiny", "none"))
    config = DecoderConfig(**{"embedding_size": 8, "hidden_size": 8, "attention_size": 8, **options})  # type: ignore[arg-type]
    decoder = Decoder(config, vocabulary_size=len(VOCABULARY), encoder_dim=encoder.channels)
    network = CaptionModel(encoder, decoder).eval()
    return Pretrained(network, VOCABULARY, Preprocessing(64, "crop"), GenerationConfig(2, 6, min_length=3, num_captions=2), {})


@pytest.fixture
def photo() -> Image.Image:
    return Image.effect_noise((90, 60), 60).convert("RGB")


def test_details_change_nothing_else_of_a_caption(photo: Image.Image) -> None:
    captioner = Captioner(make_model(), "cpu")
    plain, detailed = captioner.caption(photo), captioner.caption(photo, details=True)
    assert plain.log_probs is None
    assert (detailed.words, len(detailed.alternatives)) == (plain.words, 1)
    assert detailed.score == pytest.approx(plain.score)  # the second search takes the words' products from a table
    assert torch.allclose(detailed.alphas, plain.alphas)
    assert detailed.photo is photo


def test_log_probabilities_are_those_that_score_gives_and_sum_to_the_score_of_the_search(photo: Image.Image) -> None:
    captioner = Captioner(make_model(), "cpu")
    caption = captioner.caption(photo, GenerationConfig(2, 6, length_penalty=0.0, min_length=3), details=True)
    (score,) = captioner.score(photo, [str(caption)])
    assert caption.log_probs is not None
    assert torch.allclose(caption.log_probs, score.log_probs, atol=1e-5)
    assert float(caption.log_probs[: len(score.log_probs)].sum()) == pytest.approx(score.caption.score, abs=1e-4)


def test_an_ensemble_averages_probabilities(photo: Image.Image) -> None:
    one, other = make_model(0), make_model(1)
    together = Captioner(one, "cpu", ensemble=[other]).caption(photo, details=True)
    assert together.log_probs is not None
    alone = [Captioner(model, "cpu").score(photo, [str(together)])[0].log_probs.exp() for model in (one, other)]
    assert torch.allclose(together.log_probs.exp(), torch.stack(alone).mean(0), atol=1e-5)


@pytest.mark.parametrize("gate", ["scalar", "vector"])
def test_beta_is_a_share_for_each_word(gate: str, photo: Image.Image) -> None:
    model = make_model(gate=gate)
    captioner = Captioner(model, "cpu")
    caption = captioner.caption(photo, details=True)
    assert caption.betas is not None
    assert caption.betas.shape == (len(caption.words),)
    assert ((caption.betas > 0) & (caption.betas < 1)).all()
    with torch.no_grad():  # sigmoid(1), whatever h is
        model.network.decoder.beta.weight.zero_()
        model.network.decoder.beta.bias.fill_(1.0)
    betas = Captioner(model, "cpu").caption(photo, details=True).betas
    assert torch.allclose(betas, torch.full_like(betas, 0.731059), atol=1e-5)


def test_a_decoder_without_the_gate_has_no_beta(photo: Image.Image) -> None:
    assert Captioner(make_model(gate="none"), "cpu").caption(photo, details=True).betas is None


@pytest.mark.parametrize("mode", ["argmax", "sample", "expected"])
def test_hard_attention_names_the_location_that_it_chose(mode: str, photo: Image.Image) -> None:
    caption = Captioner(make_model(attention="hard"), "cpu", attention_mode=mode).caption(photo, details=True)
    if mode == "expected":
        assert caption.locations is None
        return
    assert caption.locations is not None
    assert caption.locations.shape == (len(caption.words),)
    assert 0 <= caption.locations.min() <= caption.locations.max() < caption.alphas.shape[1]
    if mode == "argmax":
        assert torch.equal(caption.locations, caption.alphas.argmax(-1))


def test_gates_are_those_of_the_same_words(photo: Image.Image) -> None:
    captioner = Captioner(make_model(), "cpu")
    caption = captioner.caption(photo, gates=True)
    _, expected = captioner.gates(photo)
    assert [set(layer) for layer in caption.gates] == [set(layer) for layer in expected]
    for layer, same in zip(caption.gates, expected, strict=True):
        for name, values in layer.items():
            assert values.shape == (len(caption.words), 8)
            assert torch.allclose(values, same[name])


def test_scored_captions_have_details_too(photo: Image.Image) -> None:
    (score,) = Captioner(make_model(), "cpu").score(photo, ["a red zebra"], details=True, gates=True)
    assert score.caption.log_probs is not None
    assert torch.allclose(score.caption.log_probs, score.log_probs, atol=1e-5)
    assert score.caption.gates
