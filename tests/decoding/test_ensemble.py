"""Ensembles average the probabilities of their members."""

import itertools

import pytest
import torch
from factories import LENGTH, TinyLanguage, all_captions, without_padding

from showattend.decoding import GenerationConfig, ensemble_step, generate
from showattend.vocabulary import START


def probability(language: TinyLanguage, photo: int, words: tuple[int, ...], word: int) -> float:
    return float(torch.tensor(language.log_prob(photo, (*words, word)) - language.log_prob(photo, words)).exp())


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_an_ensemble_of_copies_equals_the_model(copies: int) -> None:
    language = TinyLanguage(4, 1)
    config = GenerationConfig(beam=3, max_length=7, num_captions=3)
    alone = generate(language.step, (language.start,), config)
    ensemble = generate(*ensemble_step([(language.step, (language.start,))] * copies), config)
    assert torch.equal(ensemble.token_ids, alone.token_ids)
    assert torch.allclose(ensemble.scores, alone.scores, atol=1e-5)
    assert torch.allclose(ensemble.alphas, alone.alphas, atol=1e-6)


def test_the_best_caption_by_averaged_probabilities_is_found() -> None:
    one, two = TinyLanguage(3, 2), TinyLanguage(3, 3)
    result = generate(*ensemble_step([(one.step, (one.start,)), (two.step, (two.start,))]), GenerationConfig(beam=80, max_length=LENGTH))
    for photo in range(3):

        def score(words: tuple[int, ...], photo: int = photo) -> float:
            steps = [(words[:t], word) for t, word in enumerate(words)]
            means = [(probability(one, photo, prefix, word) + probability(two, photo, prefix, word)) / 2 for prefix, word in steps]
            return float(torch.tensor(means).log().sum())

        assert without_padding(result.token_ids[photo, 0]) == max(all_captions(), key=score)
        assert result.scores[photo, 0].item() == pytest.approx(score(without_padding(result.token_ids[photo, 0])), abs=1e-4)


def test_states_stay_separate_and_alpha_is_the_first_member_s_where_grids_differ() -> None:
    one, two = TinyLanguage(2, 4), TinyLanguage(2, 5)

    def wider(words: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
        log_probs, after, alpha = two.step(words, state[:1])
        return log_probs, (*after, state[1] + 1), torch.cat((alpha, alpha), 1)

    step, state = ensemble_step([(one.step, (one.start,)), (wider, (two.start, torch.zeros(2, 1)))])
    words = torch.full((2,), START)
    for _ in range(3):
        _, state, alpha = step(words, state)
    assert state[2].tolist() == [[3.0], [3.0]]
    own: tuple[torch.Tensor, ...] = (one.start,)
    for _ in range(3):
        _, own, expected = one.step(words, own)
    assert torch.equal(alpha, expected)
    assert all(torch.equal(actual, expected) for actual, expected in itertools.zip_longest(state[:1], own))
