"""Required, banned and repeated words: constraints always hold, and the best caption is found where all can be enumerated."""

import itertools

import pytest
import torch
from factories import LENGTH, WORDS, TinyLanguage, all_captions, without_padding

from showattend.decoding import GenerationConfig, generate
from showattend.vocabulary import END

ALLOWED = [word for word in range(WORDS) if word > END and word != 3]


def repeats(words: tuple[int, ...], n: int) -> bool:
    grams = [words[i : i + n] for i in range(len(words) - n + 1)]
    return len(set(grams)) < len(grams)


def best(language: TinyLanguage, photo: int, allowed: list[tuple[int, ...]]) -> tuple[int, ...]:
    return max(allowed, key=lambda words: language.log_prob(photo, words))


@pytest.mark.parametrize("required", [(4,), (5, 6), (6, 4, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_caption_with_the_required_words(required: tuple[int, ...], seed: int) -> None:
    language = TinyLanguage(3, seed)
    allowed = [words for words in all_captions() if set(required) <= set(words)]
    wide = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH, must_include=required))
    for photo in range(3):
        assert without_padding(wide.token_ids[photo, 0]) == best(language, photo, allowed)
        assert wide.scores[photo, 0].item() == pytest.approx(language.log_prob(photo, without_padding(wide.token_ids[photo, 0])), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_every_caption_of_a_narrow_beam_has_the_required_words(beam: int, seed: int) -> None:
    language = TinyLanguage(5, seed, end_bias=3.0)  # <end> is probable
    config = GenerationConfig(beam=beam, max_length=6, num_captions=beam, must_include=(6, 4))
    result = generate(language.step, (language.start,), config)
    for photo, k in itertools.product(range(5), range(beam)):
        if result.scores[photo, k] > -torch.inf:
            assert {4, 6} <= set(without_padding(result.token_ids[photo, k]))
    assert (result.scores[:, 0] > -torch.inf).all()


def test_required_words_occur_even_if_no_caption_ends() -> None:
    language = TinyLanguage(3, 2, end_bias=-1000.0)
    result = generate(language.step, (language.start,), GenerationConfig(beam=2, max_length=4, must_include=(5, 6)))
    for photo in range(3):
        assert {5, 6} <= set(without_padding(result.token_ids[photo, 0]))


def test_requiring_words_of_the_best_caption_does_not_change_it() -> None:
    language = TinyLanguage(4, 3)
    unconstrained = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH))
    for photo in range(4):
        words = without_padding(unconstrained.token_ids[photo, 0])
        required = tuple(dict.fromkeys(word for word in words if word != END))[:2]
        if required:
            constrained = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH, must_include=required))
            assert without_padding(constrained.token_ids[photo, 0]) == words


@pytest.mark.parametrize("seed", range(4))
def test_the_best_caption_without_the_banned_words_is_found(seed: int) -> None:
    language = TinyLanguage(3, seed)
    language.bias[5] = 2.0
    result = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, ban=(5,)))
    allowed = [words for words in all_captions() if 5 not in words]
    for photo in range(3):
        assert without_padding(result.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("min_length", [1, 2, 3])
def test_the_best_caption_of_at_least_min_length_words_is_found(min_length: int) -> None:
    language = TinyLanguage(4, 1, end_bias=4.0)
    result = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, min_length=min_length))
    allowed = [words for words in all_captions() if len(words) > min_length]
    for photo in range(4):
        assert without_padding(result.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("n", [1, 2])
def test_the_best_caption_without_a_repeated_ngram_is_found(n: int) -> None:
    language = TinyLanguage(4, 5, end_bias=-9.0)
    language.bias[4] = 9.0  # the same word is probable again and again
    unconstrained = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH))
    assert any(repeats(without_padding(unconstrained.token_ids[photo, 0]), n) for photo in range(4))
    result = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, no_repeat_ngram=n))
    allowed = [words for words in all_captions() if not repeats(words, n)]
    for photo in range(4):
        assert without_padding(result.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("options", [{"beam": 1}, {"beam": 3, "num_captions": 3}, {"beam": 1, "sample": True, "num_captions": 5}])
def test_no_ngram_occurs_twice_in_long_captions(options: dict[str, int]) -> None:
    language = TinyLanguage(4, 6, end_bias=-3.0)
    language.bias[4] = 2.0
    result = generate(language.step, (language.start,), GenerationConfig(max_length=14, no_repeat_ngram=2, min_length=5, **options))
    for photo, caption in itertools.product(range(4), range(result.token_ids.shape[1])):
        words = without_padding(result.token_ids[photo, caption])
        assert not repeats(words, 2)
        assert len(words) > 5


def test_a_caption_ends_before_min_length_when_no_other_word_is_allowed() -> None:
    language = TinyLanguage(4, 6, end_bias=-3.0)
    result = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=9, no_repeat_ngram=1, min_length=5))
    for photo in range(4):
        assert sorted(without_padding(result.token_ids[photo, 0])) == sorted((*ALLOWED, END))


def test_groups_of_one_beam_are_greedy_without_diversity_and_differ_with_it() -> None:
    language = TinyLanguage(6, 7)
    greedy = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    same = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=8, groups=3, diversity=0.0, num_captions=3))
    far = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=8, groups=3, diversity=100.0, num_captions=3))
    for photo in range(6):
        assert {without_padding(words) for words in same.token_ids[photo]} == {without_padding(greedy.token_ids[photo, 0])}
        first = [without_padding(words)[0] for words in far.token_ids[photo]]
        assert len(set(first)) == 3  # the penalty is larger than any difference of log-probabilities
        assert without_padding(greedy.token_ids[photo, 0]) in {
            without_padding(words) for words in far.token_ids[photo]
        }  # the first group has no penalty


def test_the_second_group_maximises_log_probability_minus_the_penalty() -> None:
    """Two greedy groups, against greedy search with the penalty written out word by word."""
    language = TinyLanguage(5, 8)
    result = generate(language.step, (language.start,), GenerationConfig(beam=2, max_length=6, groups=2, diversity=0.8, num_captions=2))
    for photo in range(5):
        first = penalised_greedy(language, photo, ())
        second = penalised_greedy(language, photo, first)
        assert {without_padding(words) for words in result.token_ids[photo]} == {first, second}
        for words, score in zip(result.token_ids[photo], result.scores[photo], strict=True):
            assert score.item() == pytest.approx(language.log_prob(photo, without_padding(words)), abs=1e-4)


def penalised_greedy(language: TinyLanguage, photo: int, earlier: tuple[int, ...]) -> tuple[int, ...]:
    words: tuple[int, ...] = ()
    while len(words) < 6 and END not in words:
        penalty = {earlier[len(words)]: 0.8} if len(words) < len(earlier) else {}
        options = [*ALLOWED, END]
        words = (*words, max(options, key=lambda word: language.log_prob(photo, (*words, word)) - penalty.get(word, 0.0)))
    return words


@pytest.mark.parametrize(
    "config",
    [
        GenerationConfig(beam=2, max_length=6, must_include=(4, 5), num_captions=2),
        GenerationConfig(beam=4, max_length=7, groups=2, diversity=1.0, num_captions=4),
        GenerationConfig(beam=3, max_length=9, no_repeat_ngram=2, num_captions=3),
        GenerationConfig(beam=3, max_length=7, min_length=4, ban=(5,), length_penalty=0.7),
    ],
)
def test_a_photo_has_the_same_captions_alone_and_in_a_batch(config: GenerationConfig) -> None:
    language = TinyLanguage(6, 3)
    batch = generate(language.step, (language.start,), config)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), config)
        assert [without_padding(words) for words in batch.token_ids[photo]] == [without_padding(words) for words in alone.token_ids[0]]
        assert torch.allclose(batch.scores[photo], alone.scores[0], atol=1e-5)
