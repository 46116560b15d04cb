"""Greedy and beam search against counting everything, on a language small enough to count."""

import itertools
from typing import Any

import pytest
import torch
from factories import LENGTH, TinyLanguage, all_captions, without_padding

from showattend.decoding import FORBIDDEN_IDS, GenerationConfig, generate
from showattend.decoding.beam_search import best_continuations
from showattend.errors import InputError
from showattend.vocabulary import END, PAD, START


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_what_counting_finds(seed: int, length_penalty: float) -> None:
    language = TinyLanguage(3, seed)
    found = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, length_penalty=length_penalty))
    for photo in range(3):
        scores = {words: language.log_prob(photo, words) / len(words) ** length_penalty for words in all_captions()}
        best = max(scores, key=lambda words: scores[words])
        assert without_padding(found.token_ids[photo, 0]) == best
        assert found.scores[photo, 0].item() == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_every_hypothesis_has_the_probability_that_it_claims(beam: int) -> None:
    language = TinyLanguage(4, 1)
    found = generate(language.step, (language.start,), GenerationConfig(beam=beam, max_length=6, num_captions=beam))
    for photo in range(4):
        possible = [k for k in range(beam) if found.scores[photo, k] > -torch.inf]  # there may be fewer first words than beams
        for k in possible:
            words = without_padding(found.token_ids[photo, k])
            assert found.scores[photo, k].item() == pytest.approx(language.log_prob(photo, words), abs=1e-4)
        assert len({without_padding(found.token_ids[photo, k]) for k in possible}) == len(possible)


def test_a_beam_of_one_is_greedy() -> None:
    language = TinyLanguage(5, 2)
    found = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    for photo in range(5):
        state, last, expected = (language.start[photo : photo + 1],), START, []
        for _ in range(8):
            log_probs, state, _ = language.step(torch.tensor([last]), state)
            log_probs[:, list(FORBIDDEN_IDS)] = -torch.inf
            last = int(log_probs.argmax())
            expected.append(last)
            if last == END:
                break
        assert without_padding(found.token_ids[photo, 0]) == tuple(expected)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_batch_gives_what_its_photos_give_one_by_one(length_penalty: float) -> None:
    language = TinyLanguage(6, 3)
    search = GenerationConfig(beam=3, max_length=7, length_penalty=length_penalty, num_captions=3)
    together = generate(language.step, (language.start,), search)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), search)
        for k in range(3):
            words = without_padding(alone.token_ids[0, k])
            assert without_padding(together.token_ids[photo, k]) == words
            assert torch.allclose(together.alphas[photo, k, : len(words)], alone.alphas[0, k, : len(words)], atol=1e-6)


def test_the_alphas_are_those_of_the_words_of_the_winning_beam() -> None:
    language = TinyLanguage(3, 4)
    found = generate(language.step, (language.start,), GenerationConfig(beam=4, max_length=6))
    for photo in range(3):
        state, last = (language.start[photo : photo + 1],), START
        for t, word in enumerate(without_padding(found.token_ids[photo, 0])):
            _, state, alpha = language.step(torch.tensor([last]), state)
            assert torch.allclose(found.alphas[photo, 0, t], alpha[0], atol=1e-6)
            last = word
        assert not found.alphas[photo, 0, len(without_padding(found.token_ids[photo, 0])) :].any()


def test_when_nothing_ends_the_best_unfinished_beam_stands() -> None:
    language = TinyLanguage(2, 5, end_bias=-1000.0)
    found = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=5))
    for photo in range(2):
        words = without_padding(found.token_ids[photo, 0])
        assert len(words) == 5
        assert END not in words
        assert found.scores[photo, 0].item() == pytest.approx(language.log_prob(photo, words), abs=1e-3)


def test_a_finished_beam_ranks_before_an_unfinished_one() -> None:
    language = TinyLanguage(8, 6, end_bias=-1.0)
    found = generate(language.step, (language.start,), GenerationConfig(beam=4, max_length=3, num_captions=4))
    for photo in range(8):
        ended = [END in without_padding(found.token_ids[photo, k]) for k in range(4)]
        assert ended == sorted(ended, reverse=True)


def test_what_must_never_be_said_is_never_said() -> None:
    language = TinyLanguage(4, 7)
    language.bias[list(FORBIDDEN_IDS)] = 50.0
    found = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=5, num_captions=3))
    for photo, k in itertools.product(range(4), range(3)):
        assert not set(without_padding(found.token_ids[photo, k])) & set(FORBIDDEN_IDS)


def test_the_n_best_are_the_n_best_of_all_that_can_be_said() -> None:
    language = TinyLanguage(4, 8)
    found = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, num_captions=10))
    for photo in range(4):
        best = sorted(all_captions(), key=lambda words: language.log_prob(photo, words), reverse=True)[:10]
        assert [without_padding(words) for words in found.token_ids[photo]] == best


def test_asking_for_more_captions_changes_none_of_the_first() -> None:
    language = TinyLanguage(6, 9)
    one, many = (generate(language.step, (language.start,), GenerationConfig(beam=5, max_length=8, num_captions=n)) for n in (1, 5))
    for photo in range(6):
        assert without_padding(one.token_ids[photo, 0]) == without_padding(many.token_ids[photo, 0])
        assert one.scores[photo, 0] == many.scores[photo, 0]


def test_where_there_are_fewer_captions_than_asked_for_the_rest_is_marked() -> None:
    language = TinyLanguage(2, 1)
    found = generate(language.step, (language.start,), GenerationConfig(beam=30, max_length=2, num_captions=30))
    for photo in range(2):
        there = [
            without_padding(words) for words, score in zip(found.token_ids[photo], found.scores[photo], strict=True) if score > -torch.inf
        ]
        assert len(there) == len(set(there)) < 30


def test_a_search_says_what_it_is() -> None:
    assert str(GenerationConfig()) == "beam 3, length penalty 0"
    assert (
        str(GenerationConfig(beam=5, length_penalty=0.7, num_captions=2, ban=(5, 6)))
        == "beam 5, length penalty 0.7, num captions 2, ban 2 words"
    )
    assert str(GenerationConfig(beam=1, sample=True, top_p=0.9)) == "sample, temperature 1, top p 0.9, seed 0"


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"beam": 0}, "beam"),
        ({"max_length": 0}, "max_length"),
        ({"length_penalty": -1.0}, "length_penalty"),
        ({"num_captions": 4}, "give a beam of 4"),
        ({"min_length": 30}, "min_length"),
        ({"groups": 2}, "groups"),
        ({"temperature": 0.5}, "give sample"),
        ({"sample": True}, "a beam of 3"),
        ({"sample": True, "beam": 1, "top_p": 0.0}, "top_p"),
        ({"sample": True, "beam": 1, "temperature": 0.0}, "temperature"),
        ({"sample": True, "beam": 1, "must_include": (4,)}, "leave out sample"),
        ({"must_include": (4, 4)}, "twice"),
        ({"must_include": (4,), "ban": (4,)}, "banned"),
        ({"must_include": (4, 5, 6, 7, 8)}, "at most 4"),
        ({"must_include": (4, 5), "max_length": 2}, "max_length"),
        ({"must_include": (4,), "groups": 3}, "must_include and groups"),
    ],
)
def test_numbers_out_of_range_and_contradictions_are_refused(bad: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        GenerationConfig(**bad)


@pytest.mark.parametrize(("rows", "beam"), [(1, 1), (1, 5), (2, 3), (4, 17)])
@pytest.mark.parametrize("vocabulary", [5, 30, 101, 1000, 2544])
def test_the_best_continuations_are_those_of_all_sorted(rows: int, beam: int, vocabulary: int) -> None:
    torch.manual_seed(vocabulary)
    total, frozen = torch.randn(3, rows, beam).double(), torch.rand(3, rows, beam) < 0.3
    log_probs = 3 * torch.randn(3, rows, beam, vocabulary).double()
    log_probs[0, :, :, 1:] = -torch.inf
    total[1, :, 1:] = -torch.inf
    key, parent, word = best_continuations(total, frozen, log_probs)
    every = (total.unsqueeze(-1) + log_probs).masked_fill(frozen.unsqueeze(-1), -torch.inf)
    every[..., PAD] = torch.where(frozen, torch.inf, every[..., PAD])
    assert torch.equal(key, every.flatten(2).sort(descending=True).values[..., :beam])
    own = parent - beam * torch.arange(rows).unsqueeze(-1)
    real = key > -torch.inf
    photo, row = torch.arange(3).view(-1, 1, 1).expand_as(own), torch.arange(rows).view(-1, 1).expand_as(own)
    assert torch.equal(every[photo, row, own, word][real], key[real])
    # None is taken twice.
    places = (own * vocabulary + word).where(real, -torch.arange(1, beam + 1)).sort().values
    assert (places.diff() > 0).all()
