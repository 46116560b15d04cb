"""Beam search against counting everything, on a language small enough to count."""

import itertools

import pytest
import torch
from torch import Tensor

from showattend.decoding import NEVER, Search, State, beam_search
from showattend.errors import InputError
from showattend.vocabulary import END, PAD, START

WORDS, LOCATIONS, LENGTH = 7, 3, 4


class Language:
    """Next-word probabilities that depend on the photo and on all words so far, through a state that mixes them."""

    def __init__(self, photos: int, seed: int = 0, end_bias: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.start = torch.randn(photos, 5, generator=generator)
        self.mix = torch.randn(5, 5, generator=generator)
        self.heard = torch.randn(WORDS, 5, generator=generator)
        self.say = 2 * torch.randn(5, WORDS, generator=generator)
        self.bias = torch.zeros(WORDS)
        self.bias[END] = end_bias

    def step(self, words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        h = torch.tanh(state[0] @ self.mix + self.heard[words])
        return (h @ self.say + self.bias).log_softmax(-1), (h,), h[:, :LOCATIONS].softmax(-1)

    def log_prob(self, photo: int, words: tuple[int, ...]) -> float:
        state: State = (self.start[photo : photo + 1],)
        total, last = 0.0, START
        for word in words:
            log_probs, state, _ = self.step(torch.tensor([last]), state)
            total, last = total + log_probs[0, word].item(), word
        return total


def everything() -> list[tuple[int, ...]]:
    """All captions that end within LENGTH words."""
    sayable = [word for word in range(WORDS) if word not in (*NEVER, END)]
    return [(*said, END) for length in range(LENGTH) for said in itertools.product(sayable, repeat=length)]


def spoken(words: Tensor) -> tuple[int, ...]:
    return tuple(word for word in words.tolist() if word != PAD)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_what_counting_finds(seed: int, length_penalty: float) -> None:
    language = Language(3, seed)
    found = beam_search(language.step, (language.start,), Search(beam=80, max_length=LENGTH, length_penalty=length_penalty))
    for photo in range(3):
        scores = {words: language.log_prob(photo, words) / len(words) ** length_penalty for words in everything()}
        best = max(scores, key=lambda words: scores[words])
        assert spoken(found.words[photo, 0]) == best
        assert found.scores[photo, 0].item() == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_every_hypothesis_has_the_probability_that_it_claims(beam: int) -> None:
    language = Language(4, 1)
    found = beam_search(language.step, (language.start,), Search(beam=beam, max_length=6))
    for photo in range(4):
        possible = [k for k in range(beam) if found.scores[photo, k] > -torch.inf]  # there may be fewer first words than beams
        for k in possible:
            words = spoken(found.words[photo, k])
            assert found.scores[photo, k].item() == pytest.approx(language.log_prob(photo, words), abs=1e-4)
        assert len({spoken(found.words[photo, k]) for k in possible}) == len(possible)


def test_a_beam_of_one_is_greedy() -> None:
    language = Language(5, 2)
    found = beam_search(language.step, (language.start,), Search(beam=1, max_length=8))
    for photo in range(5):
        state, last, expected = (language.start[photo : photo + 1],), START, []
        for _ in range(8):
            log_probs, state, _ = language.step(torch.tensor([last]), state)
            log_probs[:, list(NEVER)] = -torch.inf
            last = int(log_probs.argmax())
            expected.append(last)
            if last == END:
                break
        assert spoken(found.words[photo, 0]) == tuple(expected)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_batch_gives_what_its_photos_give_one_by_one(length_penalty: float) -> None:
    language = Language(6, 3)
    search = Search(beam=3, max_length=7, length_penalty=length_penalty)
    together = beam_search(language.step, (language.start,), search)
    for photo in range(6):
        alone = beam_search(language.step, (language.start[photo : photo + 1],), search)
        for k in range(3):
            words = spoken(alone.words[0, k])
            assert spoken(together.words[photo, k]) == words
            assert torch.allclose(together.alphas[photo, k, : len(words)], alone.alphas[0, k, : len(words)], atol=1e-6)


def test_the_alphas_are_those_of_the_words_of_the_winning_beam() -> None:
    language = Language(3, 4)
    found = beam_search(language.step, (language.start,), Search(beam=4, max_length=6))
    for photo in range(3):
        state, last = (language.start[photo : photo + 1],), START
        for t, word in enumerate(spoken(found.words[photo, 0])):
            _, state, alpha = language.step(torch.tensor([last]), state)
            assert torch.allclose(found.alphas[photo, 0, t], alpha[0], atol=1e-6)
            last = word
        assert not found.alphas[photo, 0, len(spoken(found.words[photo, 0])) :].any()


def test_when_nothing_ends_the_best_unfinished_beam_stands() -> None:
    language = Language(2, 5, end_bias=-1000.0)
    found = beam_search(language.step, (language.start,), Search(beam=3, max_length=5))
    for photo in range(2):
        words = spoken(found.words[photo, 0])
        assert len(words) == 5
        assert END not in words
        assert found.scores[photo, 0].item() == pytest.approx(language.log_prob(photo, words), abs=1e-3)


def test_a_finished_beam_ranks_before_an_unfinished_one() -> None:
    language = Language(8, 6, end_bias=-1.0)
    found = beam_search(language.step, (language.start,), Search(beam=4, max_length=3))
    for photo in range(8):
        ended = [END in spoken(found.words[photo, k]) for k in range(4)]
        assert ended == sorted(ended, reverse=True)


def test_what_must_never_be_said_is_never_said() -> None:
    language = Language(4, 7)
    language.bias[list(NEVER)] = 50.0
    found = beam_search(language.step, (language.start,), Search(beam=3, max_length=5))
    for photo, k in itertools.product(range(4), range(3)):
        assert not set(spoken(found.words[photo, k])) & set(NEVER)


@pytest.mark.parametrize("bad", [{"beam": 0}, {"max_length": 0}, {"length_penalty": -1.0}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        Search(**bad)
