"""Captions ranked by mutual information are the best of all captions that there are, and those that a second pass by hand ranks first."""

import pytest
import torch
from factories import LENGTH, TinyLanguage, all_captions, make_decoder, random_features, without_padding
from torch import Tensor, nn

from showattend.decoding import GenerationConfig, State, StepFunction, search
from showattend.models.caption_model import CaptionModel
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split, unflatten_tokens
from showattend.vocabulary import END, PAD, START


class SeeingLanguage(TinyLanguage):
    """A language whose first state is the features of the photo, one location each."""

    def make_step(self, features: list[Tensor]) -> tuple[StepFunction, State]:
        return self.step, (features[0][:, 0],)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("weight", [0.3, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_caption_with_the_most_information(seed: int, weight: float, penalty: float) -> None:
    language = SeeingLanguage(3, seed)
    config = GenerationConfig(beam=85, max_length=LENGTH, length_penalty=penalty, mutual_information=weight, num_captions=2)
    found = search(language.make_step, [language.start.unsqueeze(1)], config)
    nothing = SeeingLanguage(3, seed)
    nothing.start = torch.zeros(3, 5)

    def information(photo: int, words: tuple[int, ...]) -> float:
        return (language.log_prob(photo, words) - weight * nothing.log_prob(0, words)) / len(words) ** penalty

    for photo in range(3):
        ranked = sorted(all_captions(), key=lambda words, photo=photo: -information(photo, words))  # type: ignore[misc]
        assert [without_padding(caption) for caption in found.token_ids[photo]] == ranked[:2]
        score = language.log_prob(photo, ranked[0]) / len(ranked[0]) ** penalty
        assert found.scores[photo, 0].item() == pytest.approx(score, abs=1e-4), "the score stays the model's own"
        assert torch.allclose(found.alphas[photo].sum(-1), (found.token_ids[photo] != PAD).float())


def test_a_caption_that_has_not_ended_stays_behind_those_that_have() -> None:
    language = SeeingLanguage(4, 1, end_bias=-4.0)
    config = GenerationConfig(beam=6, max_length=LENGTH, mutual_information=5.0, num_captions=6)
    ended = (search(language.make_step, [language.start.unsqueeze(1)], config).token_ids == END).any(-1)
    assert ended.any()
    assert not ended.all()
    assert (ended[:, :-1] >= ended[:, 1:]).all()


@pytest.mark.parametrize("attention", ["soft", "dot"])
def test_a_model_that_sees_nothing_has_features_of_zero(attention: str) -> None:
    decoder = make_decoder(attention=attention)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter))
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    config = GenerationConfig(beam=4, max_length=6, num_captions=4, mutual_information=0.9)
    found = network.caption(Features(features := random_features()), config)
    input_ids, target_ids, mask = teacher_forcing_split(nn.functional.pad(found.token_ids, (1, 0), value=START))
    logits = network(Features(torch.zeros_like(features)), input_ids).logits
    losses = nn.functional.cross_entropy(logits, flatten_tokens(target_ids, mask), reduction="none")
    no_photo = -unflatten_tokens(losses, mask).sum(-1)
    information = (found.scores - 0.9 * no_photo).masked_fill(~(found.token_ids == END).any(-1), -torch.inf)
    assert torch.equal(information.sort(descending=True, stable=True).values, information)
    assert not torch.equal(found.scores.sort(descending=True).values, found.scores), "the order is another than that of the scores"
