"""What must, must not and should not be said: always kept, and optimal where everything can be counted."""

import itertools

import pytest
import torch
from factories import LENGTH, WORDS, TinyLanguage, all_captions, without_padding

from showattend.decoding import GenerationConfig, generate
from showattend.vocabulary import END

SAYABLE = [word for word in range(WORDS) if word > END and word != 3]


def repeats(words: tuple[int, ...], n: int) -> bool:
    grams = [words[i : i + n] for i in range(len(words) - n + 1)]
    return len(set(grams)) < len(grams)


def best(language: TinyLanguage, photo: int, allowed: list[tuple[int, ...]]) -> tuple[int, ...]:
    return max(allowed, key=lambda words: language.log_prob(photo, words))


@pytest.mark.parametrize("required", [(4,), (5, 6), (6, 4, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_required_words_are_said_as_well_as_can_be(required: tuple[int, ...], seed: int) -> None:
    language = TinyLanguage(3, seed)
    allowed = [words for words in all_captions() if set(required) <= set(words)]
    wide = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH, must_include=required))
    for photo in range(3):
        assert without_padding(wide.token_ids[photo, 0]) == best(language, photo, allowed)
        assert wide.scores[photo, 0].item() == pytest.approx(language.log_prob(photo, without_padding(wide.token_ids[photo, 0])), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_required_words_are_said_by_narrow_beams_and_by_all_of_the_captions(beam: int, seed: int) -> None:
    language = TinyLanguage(5, seed, end_bias=3.0)  # a language that would rather stop
    search = GenerationConfig(beam=beam, max_length=6, num_captions=beam, must_include=(6, 4))
    found = generate(language.step, (language.start,), search)
    for photo, k in itertools.product(range(5), range(beam)):
        if found.scores[photo, k] > -torch.inf:
            assert {4, 6} <= set(without_padding(found.token_ids[photo, k]))
    assert (found.scores[:, 0] > -torch.inf).all()


def test_required_words_come_even_if_no_caption_ends() -> None:
    language = TinyLanguage(3, 2, end_bias=-1000.0)
    found = generate(language.step, (language.start,), GenerationConfig(beam=2, max_length=4, must_include=(5, 6)))
    for photo in range(3):
        assert {5, 6} <= set(without_padding(found.token_ids[photo, 0]))


def test_required_words_that_would_be_said_anyway_change_nothing() -> None:
    language = TinyLanguage(4, 3)
    free = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH))
    for photo in range(4):
        words = without_padding(free.token_ids[photo, 0])
        required = tuple(dict.fromkeys(word for word in words if word != END))[:2]
        if required:
            bound = generate(language.step, (language.start,), GenerationConfig(beam=60, max_length=LENGTH, must_include=required))
            assert without_padding(bound.token_ids[photo, 0]) == words


@pytest.mark.parametrize("seed", range(4))
def test_banned_words_are_never_said_and_the_best_other_caption_is(seed: int) -> None:
    language = TinyLanguage(3, seed)
    language.bias[5] = 2.0
    found = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, ban=(5,)))
    allowed = [words for words in all_captions() if 5 not in words]
    for photo in range(3):
        assert without_padding(found.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("least", [1, 2, 3])
def test_the_shortest_caption_allowed(least: int) -> None:
    language = TinyLanguage(4, 1, end_bias=4.0)
    found = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, min_length=least))
    allowed = [words for words in all_captions() if len(words) > least]
    for photo in range(4):
        assert without_padding(found.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("n", [1, 2])
def test_no_ngram_is_said_twice_and_the_best_such_caption_is_found(n: int) -> None:
    language = TinyLanguage(4, 5, end_bias=-9.0)
    language.bias[4] = 9.0  # a language that stammers
    free = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH))
    assert any(repeats(without_padding(free.token_ids[photo, 0]), n) for photo in range(4))
    found = generate(language.step, (language.start,), GenerationConfig(beam=80, max_length=LENGTH, no_repeat_ngram=n))
    allowed = [words for words in all_captions() if not repeats(words, n)]
    for photo in range(4):
        assert without_padding(found.token_ids[photo, 0]) == best(language, photo, allowed)


@pytest.mark.parametrize("search", [{"beam": 1}, {"beam": 3, "num_captions": 3}, {"beam": 1, "sample": True, "num_captions": 5}])
def test_no_ngram_is_said_twice_in_long_captions(search: dict[str, int]) -> None:
    language = TinyLanguage(4, 6, end_bias=-3.0)
    language.bias[4] = 2.0
    found = generate(language.step, (language.start,), GenerationConfig(max_length=14, no_repeat_ngram=2, min_length=5, **search))
    for photo, caption in itertools.product(range(4), range(found.token_ids.shape[1])):
        words = without_padding(found.token_ids[photo, caption])
        assert not repeats(words, 2)
        assert len(words) > 5


def test_a_caption_that_may_say_nothing_more_ends_even_if_it_is_short() -> None:
    language = TinyLanguage(4, 6, end_bias=-3.0)
    found = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=9, no_repeat_ngram=1, min_length=5))
    for photo in range(4):
        assert sorted(without_padding(found.token_ids[photo, 0])) == sorted((*SAYABLE, END))


def test_groups_of_one_beam_without_diversity_are_greedy_and_with_it_differ() -> None:
    language = TinyLanguage(6, 7)
    greedy = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    same = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=8, groups=3, diversity=0.0, num_captions=3))
    far = generate(language.step, (language.start,), GenerationConfig(beam=3, max_length=8, groups=3, diversity=100.0, num_captions=3))
    for photo in range(6):
        assert {without_padding(words) for words in same.token_ids[photo]} == {without_padding(greedy.token_ids[photo, 0])}
        first = [without_padding(words)[0] for words in far.token_ids[photo]]
        assert len(set(first)) == 3  # three words to begin with, so strongly do they avoid each other
        assert without_padding(greedy.token_ids[photo, 0]) in {
            without_padding(words) for words in far.token_ids[photo]
        }  # the first group is free


def test_groups_choose_what_the_definition_chooses() -> None:
    """Two greedy groups: the second minimises its words' improbability plus the penalty, place by place."""
    language = TinyLanguage(5, 8)
    found = generate(language.step, (language.start,), GenerationConfig(beam=2, max_length=6, groups=2, diversity=0.8, num_captions=2))
    for photo in range(5):
        first = self_avoiding(language, photo, ())
        second = self_avoiding(language, photo, first)
        assert {without_padding(words) for words in found.token_ids[photo]} == {first, second}
        for words, score in zip(found.token_ids[photo], found.scores[photo], strict=True):
            assert score.item() == pytest.approx(language.log_prob(photo, without_padding(words)), abs=1e-4)


def self_avoiding(language: TinyLanguage, photo: int, earlier: tuple[int, ...]) -> tuple[int, ...]:
    said: tuple[int, ...] = ()
    while len(said) < 6 and END not in said:
        penalty = {earlier[len(said)]: 0.8} if len(said) < len(earlier) else {}
        options = [*SAYABLE, END]
        said = (*said, max(options, key=lambda word: language.log_prob(photo, (*said, word)) - penalty.get(word, 0.0)))
    return said


@pytest.mark.parametrize(
    "search",
    [
        GenerationConfig(beam=2, max_length=6, must_include=(4, 5), num_captions=2),
        GenerationConfig(beam=4, max_length=7, groups=2, diversity=1.0, num_captions=4),
        GenerationConfig(beam=3, max_length=9, no_repeat_ngram=2, num_captions=3),
        GenerationConfig(beam=3, max_length=7, min_length=4, ban=(5,), length_penalty=0.7),
    ],
)
def test_a_batch_gives_what_its_photos_give_one_by_one(search: GenerationConfig) -> None:
    language = TinyLanguage(6, 3)
    together = generate(language.step, (language.start,), search)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), search)
        assert [without_padding(words) for words in together.token_ids[photo]] == [without_padding(words) for words in alone.token_ids[0]]
        assert torch.allclose(together.scores[photo], alone.scores[0], atol=1e-5)
