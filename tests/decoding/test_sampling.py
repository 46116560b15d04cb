"""Drawn captions have the frequencies that the model's probabilities promise."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from factories import LENGTH, LOCATIONS, TinyLanguage, chi_squared_p, without_padding
from torch import Tensor

from showattend.decoding import FORBIDDEN_IDS, GenerationConfig, State, generate
from showattend.vocabulary import END, START

DRAWS = 4000
Reshape = Callable[[Tensor], Tensor]


def promised(language: TinyLanguage, photo: int, reshape: Reshape) -> dict[tuple[int, ...], float]:
    """The probability of every caption, ended or cut off, when each word's probabilities (V,) are reshaped."""

    def follow(said: tuple[int, ...], state: State, probability: float) -> None:
        if len(said) == LENGTH or END in said:
            found[said] = probability
            return
        log_probs, state, _ = language.step(torch.tensor([said[-1] if said else START]), state)
        log_probs[:, list(FORBIDDEN_IDS)] = -torch.inf
        for word, share in enumerate(reshape(log_probs[0].softmax(-1)).tolist()):
            if share > 0:
                follow((*said, word), state, probability * share)

    found: dict[tuple[int, ...], float] = {}
    follow((), (language.start[photo : photo + 1],), 1.0)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    return found


def fit(counts: Counter[tuple[int, ...]], expected: dict[tuple[int, ...], float]) -> float:
    """The p of a chi-squared test over all captions that are expected."""
    assert set(counts) <= set(expected)
    return chi_squared_p(torch.tensor([counts[words] for words in expected]), DRAWS * torch.tensor(list(expected.values())))


def top_k(probabilities: Tensor) -> Tensor:
    kept = torch.zeros_like(probabilities)
    best = probabilities.argsort(descending=True)[:2]
    kept[best] = probabilities[best]
    return kept / kept.sum()


def top_p(probabilities: Tensor) -> Tensor:
    kept, reached = torch.zeros_like(probabilities), 0.0
    for word in probabilities.argsort(descending=True).tolist():
        if reached < 0.6:
            kept[word] = probabilities[word]
        reached += float(probabilities[word])
    return kept / kept.sum()


def cold(probabilities: Tensor) -> Tensor:
    return probabilities**2 / (probabilities**2).sum()


@pytest.mark.parametrize(
    ("options", "reshape"),
    [({}, lambda p: p), ({"temperature": 0.5}, cold), ({"top_k": 2}, top_k), ({"top_p": 0.6}, top_p)],
    ids=["plain", "cold", "top_k", "top_p"],
)
def test_captions_are_drawn_as_often_as_their_probability_says(options: dict[str, float], reshape: Reshape) -> None:
    language = TinyLanguage(1, 1, end_bias=-3.0)
    language.say /= 2  # so that several words are likely
    expected = promised(language, 0, reshape)
    search = GenerationConfig(beam=1, max_length=LENGTH, sample=True, num_captions=DRAWS, **options)  # type: ignore[arg-type]
    drawn = generate(language.step, (language.start,), search)
    counts = Counter(without_padding(words) for words in drawn.token_ids[0])
    assert fit(counts, expected) > 0.001
    # And the test would notice: the same draws do not fit what another temperature promises.
    assert fit(counts, dict.fromkeys(counts, 0.0) | promised(language, 0, lambda p: cold(cold(p)))) < 1e-6


def test_a_photo_draws_the_same_alone_and_among_others() -> None:
    language = TinyLanguage(6, 2)
    search = GenerationConfig(beam=1, max_length=8, sample=True, num_captions=4, seed=3)
    keys = [11, 7, 7, 5, 0, 2**32 - 1]
    together = generate(language.step, (language.start,), search, keys)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), search, keys[photo : photo + 1])
        assert [without_padding(words) for words in alone.token_ids[0]] == [without_padding(words) for words in together.token_ids[photo]]


def test_another_seed_draws_other_captions_and_the_same_seed_the_same() -> None:
    language = TinyLanguage(6, 3)
    first, again, other = (
        generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8, sample=True, num_captions=4, seed=seed)).token_ids
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_a_drawn_caption_has_the_probability_and_the_alphas_that_it_claims() -> None:
    language = TinyLanguage(3, 4)
    drawn = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=6, sample=True, num_captions=5, temperature=2.0))
    for photo in range(3):
        for words, score, alphas in zip(drawn.token_ids[photo], drawn.scores[photo], drawn.alphas[photo], strict=True):
            said = without_padding(words)
            assert score.item() == pytest.approx(language.log_prob(photo, said), abs=1e-4)
            assert torch.allclose(alphas.sum(-1), (torch.arange(len(words)) < len(said)).float(), atol=1e-5)
            assert alphas.shape[-1] == LOCATIONS


def test_among_one_word_there_is_nothing_to_draw() -> None:
    language = TinyLanguage(5, 5)
    greedy = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    for options in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-4}):
        drawn = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8, sample=True, **options))  # type: ignore[arg-type]
        for photo in range(5):
            assert without_padding(drawn.token_ids[photo, 0]) == without_padding(greedy.token_ids[photo, 0])
