"""Greedy and beam search against an enumeration of all captions, in a language with few enough of them."""

import itertools
from typing import Any

import pytest
import torch
from factories import LENGTH, WORDS, TinyLanguage, all_captions, without_padding

from showattend.decoding import GenerationConfig, generate
from showattend.decoding.beam_search import best_continuations
from showattend.errors import InputError
from showattend.vocabulary import END, FORBIDDEN_IDS, PAD, START


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_of_all_captions(seed: int, length_penalty: float) -> None:
    language = TinyLanguage(3, seed)
    result = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, length_penalty=length_penalty))
    for photo in range(3):
        scores = {words: language.log_prob(photo, words) / len(words) ** length_penalty for words in all_captions()}
        best = max(scores, key=lambda words: scores[words])
        assert without_padding(result.token_ids[photo, 0]) == best
        assert result.scores[photo, 0].item() == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_the_score_of_every_hypothesis_is_its_log_probability(beam: int) -> None:
    language = TinyLanguage(4, 1)
    result = generate(language.step, (language.start,), GenerationConfig(beam=beam, max_length=6, num_captions=beam))
    for photo in range(4):
        possible = [k for k in range(beam) if result.scores[photo, k] > -torch.inf]  # fewer than the beams where there are few first words
        for k in possible:
            words = without_padding(result.token_ids[photo, k])
            assert result.scores[photo, k].item() == pytest.approx(language.log_prob(photo, words), abs=1e-4)
        assert len({without_padding(result.token_ids[photo, k]) for k in possible}) == len(possible)


def test_a_beam_of_one_is_greedy() -> None:
    language = TinyLanguage(5, 2)
    result = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    for photo in range(5):
        state, last, expected = (language.start[photo : photo + 1],), START, []
        for _ in range(8):
            log_probs, state, _ = language.step(torch.tensor([last]), state)
            log_probs[:, list(FORBIDDEN_IDS)] = -torch.inf
            last = int(log_probs.argmax())
            expected.append(last)
            if last == END:
                break
        assert without_padding(result.token_ids[photo, 0]) == tuple(expected)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_photo_has_the_same_captions_alone_and_in_a_batch(length_penalty: float) -> None:
    language = TinyLanguage(6, 3)
    config = GenerationConfig(beam=3, max_length=7, length_penalty=length_penalty, num_captions=3)
    batch = generate(language.step, (language.start,), config)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), config)
        for k in range(3):
            words = without_padding(alone.token_ids[0, k])
            assert without_padding(batch.token_ids[photo, k]) == words
            assert torch.allclose(batch.alphas[photo, k, : len(words)], alone.alphas[0, k, : len(words)], atol=1e-6)


def test_the_alphas_belong_to_the_words_of_the_best_hypothesis() -> None:
    language = TinyLanguage(3, 4)
    result = generate(language.step, (language.start,), GenerationConfig(beam=4, max_length=6))
    for photo in range(3):
        state, last = (language.start[photo : photo + 1],), START
        for t, word in enumerate(without_padding(result.token_ids[photo, 0])):
            _, state, alpha = language.step(torch.tensor([last]), state)
            assert torch.allclose(result.alphas[photo, 0, t], alpha[0], atol=1e-6)
            last = word
        assert not result.alphas[photo, 0, len(without_padding(result.token_ids[photo, 0])) :].any()


def test_when_no_hypothesis_ends_the_best_unfinished_one_is_returned() -> None:
    language = TinyLanguage(2, 5, end_bias=-1000.0)
    result = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=5))
    for photo in range(2):
        words = without_padding(result.token_ids[photo, 0])
        assert len(words) == 5
        assert END not in words
        assert result.scores[photo, 0].item() == pytest.approx(language.log_prob(photo, words), abs=1e-3)


def test_an_ended_hypothesis_ranks_before_an_unfinished_one() -> None:
    language = TinyLanguage(8, 6, end_bias=-1.0)
    result = generate(language.step, (language.start,), GenerationConfig(beam=4, max_length=3, num_captions=4))
    for photo in range(8):
        ended = [END in without_padding(result.token_ids[photo, k]) for k in range(4)]
        assert ended == sorted(ended, reverse=True)


def test_forbidden_tokens_never_occur_however_probable() -> None:
    language = TinyLanguage(4, 7)
    language.bias[list(FORBIDDEN_IDS)] = 50.0
    result = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=5, num_captions=3))
    for photo, k in itertools.product(range(4), range(3)):
        assert not set(without_padding(result.token_ids[photo, k])) & set(FORBIDDEN_IDS)


def test_the_n_best_captions_are_the_n_best_of_all_captions() -> None:
    language = TinyLanguage(4, 8)
    result = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, num_captions=10))
    for photo in range(4):
        best = sorted(all_captions(), key=lambda words: language.log_prob(photo, words), reverse=True)[:10]
        assert [without_padding(words) for words in result.token_ids[photo]] == best


def test_more_captions_per_photo_leave_the_best_one_unchanged() -> None:
    language = TinyLanguage(6, 9)
    one, many = (generate(language.step, (language.start,), GenerationConfig(beam=5, max_length=8, num_captions=n)) for n in (1, 5))
    for photo in range(6):
        assert without_padding(one.token_ids[photo, 0]) == without_padding(many.token_ids[photo, 0])
        assert one.scores[photo, 0] == many.scores[photo, 0]


def test_captions_that_do_not_exist_have_a_score_of_minus_infinity() -> None:
    language = TinyLanguage(2, 1)
    result = generate(language.step, (language.start,), GenerationConfig(beam=30, max_length=2, num_captions=30))
    for photo in range(2):
        existing = [
            without_padding(words) for words, score in zip(result.token_ids[photo], result.scores[photo], strict=True) if score > -torch.inf
        ]
        assert len(existing) == len(set(existing)) < 30


@pytest.mark.parametrize(("beam", "length"), [(6, 5), (7, 6), (10, 6)])
def test_more_beams_than_continuations_lose_no_caption(beam: int, length: int) -> None:
    for seed in range(5):
        language = TinyLanguage(3, seed)
        config = GenerationConfig(beam, length, 2.0, num_captions=length, ban=tuple(range(5, WORDS)))
        result = generate(language.step, (language.start,), config)
        for photo in range(3):
            captions = [(*[4] * words, END) for words in range(length)]
            scores = [language.log_prob(photo, caption) / len(caption) ** 2 for caption in captions]
            assert result.scores[photo].tolist() == pytest.approx(sorted(scores, reverse=True), abs=1e-5)


def test_a_config_prints_its_beam_and_what_differs_from_the_default() -> None:
    assert str(GenerationConfig()) == "beam 3, length penalty 0"
    assert (
        str(GenerationConfig(beam=5, length_penalty=0.7, num_captions=2, ban=(5, 6)))
        == "beam 5, length penalty 0.7, num captions 2, ban 2 words"
    )
    assert str(GenerationConfig(beam=1, sample=True, top_p=0.9)) == "sample, temperature 1, top p 0.9, seed 0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "^beam is 0: "),
        ({"max_length": 0}, "^max_length is 0: "),
        ({"length_penalty": -1.0}, "^length_penalty is -1.0: "),
        ({"length_penalty": 9.0}, "^length_penalty is 9.0: "),
        ({"beam": 4, "groups": 2, "diversity": 1e5}, "^diversity is 100000.0: "),
        ({"num_captions": 4}, "give a beam of 4"),
        ({"min_length": 30}, "lower min_length"),
        ({"groups": 2}, "cannot form 2 groups"),
        ({"temperature": 0.5}, "give sample"),
        ({"sample": True}, "a beam of 3"),
        ({"sample": True, "beam": 1, "top_p": 0.0}, "^top_p is 0.0: "),
        ({"sample": True, "beam": 1, "temperature": 0.0}, "^temperature is 0.0: "),
        ({"sample": True, "beam": 1, "must_include": (4,)}, "leave out sample"),
        ({"must_include": (4, 4)}, "twice"),
        ({"must_include": (4,), "ban": (4,)}, "banned"),
        ({"must_include": (4, 5, 6, 7, 8)}, "at most 4"),
        ({"must_include": (4, 5), "max_length": 2}, "raise max_length"),
        ({"must_include": (4,), "groups": 3}, "must_include and groups"),
    ],
)
def test_values_out_of_range_and_contradictory_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerationConfig(**options)


@pytest.mark.parametrize(("groups", "beam"), [(1, 1), (1, 5), (2, 3), (4, 17)])
@pytest.mark.parametrize("vocabulary", [5, 30, 101, 1000, 2544])
def test_the_chunked_top_k_equals_a_full_sort(groups: int, beam: int, vocabulary: int) -> None:
    torch.manual_seed(vocabulary)
    total, frozen = torch.randn(3, groups, beam).double(), torch.rand(3, groups, beam) < 0.3
    log_probs = 3 * torch.randn(3, groups, beam, vocabulary).double()
    log_probs[0, :, :, 1:] = -torch.inf
    total[1, :, 1:] = -torch.inf
    keys, parents, token_ids = best_continuations(total, frozen, log_probs)
    sums = (total.unsqueeze(-1) + log_probs).masked_fill(frozen.unsqueeze(-1), -torch.inf)
    sums[..., PAD] = torch.where(frozen, torch.inf, sums[..., PAD])
    assert torch.equal(keys, sums.flatten(2).sort(descending=True).values[..., :beam])
    beams = parents - beam * torch.arange(groups).unsqueeze(-1)
    exists = keys > -torch.inf
    photo, group = torch.arange(3).view(-1, 1, 1).expand_as(beams), torch.arange(groups).view(-1, 1).expand_as(beams)
    assert torch.equal(sums[photo, group, beams, token_ids][exists], keys[exists])
    # No continuation is chosen twice.
    flat_index = (beams * vocabulary + token_ids).where(exists, -torch.arange(1, beam + 1)).sort().values
    assert (flat_index.diff() > 0).all()
