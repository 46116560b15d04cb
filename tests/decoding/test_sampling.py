"""The frequencies of sampled captions agree with the model's probabilities."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from factories import LENGTH, LOCATIONS, TinyLanguage, chi_squared_p, without_padding
from torch import Tensor

from showattend.decoding import GenerationConfig, State, generate
from showattend.vocabulary import END, FORBIDDEN_IDS, START

DRAWS = 4000
Reshape = Callable[[Tensor], Tensor]


def caption_probabilities(language: TinyLanguage, photo: int, reshape: Reshape) -> dict[tuple[int, ...], float]:
    """The probability of every caption, ended or cut off at LENGTH, when `reshape` changes the probabilities (V,) of each word."""

    def follow(words: tuple[int, ...], state: State, probability: float) -> None:
        if len(words) == LENGTH or END in words:
            probabilities[words] = probability
            return
        log_probs, state, _ = language.step(torch.tensor([words[-1] if words else START]), state)
        log_probs[:, list(FORBIDDEN_IDS)] = -torch.inf
        for word, share in enumerate(reshape(log_probs[0].softmax(-1)).tolist()):
            if share > 0:
                follow((*words, word), state, probability * share)

    probabilities: dict[tuple[int, ...], float] = {}
    follow((), (language.start[photo : photo + 1],), 1.0)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    return probabilities


def goodness_of_fit(counts: Counter[tuple[int, ...]], expected: dict[tuple[int, ...], float]) -> float:
    """The p-value of a chi-squared test over all captions."""
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
def test_captions_are_sampled_with_their_probabilities(options: dict[str, float], reshape: Reshape) -> None:
    language = TinyLanguage(1, 1, end_bias=-3.0)
    language.output_weight /= 2  # so that several words are likely
    expected = caption_probabilities(language, 0, reshape)
    config = GenerationConfig(beam=1, max_length=LENGTH, sample=True, num_captions=DRAWS, **options)  # type: ignore[arg-type]
    samples = generate(language.step, (language.start,), config)
    counts = Counter(without_padding(words) for words in samples.token_ids[0])
    assert goodness_of_fit(counts, expected) > 0.001
    # The test has power: the same samples do not fit the probabilities at another temperature.
    assert goodness_of_fit(counts, dict.fromkeys(counts, 0.0) | caption_probabilities(language, 0, lambda p: cold(cold(p)))) < 1e-6


def test_a_photo_has_the_same_samples_alone_and_in_a_batch() -> None:
    language = TinyLanguage(6, 2)
    config = GenerationConfig(beam=1, max_length=8, sample=True, num_captions=4, seed=3)
    keys = [11, 7, 7, 5, 0, 2**32 - 1]
    batch = generate(language.step, (language.start,), config, keys)
    for photo in range(6):
        alone = generate(language.step, (language.start[photo : photo + 1],), config, keys[photo : photo + 1])
        assert [without_padding(words) for words in alone.token_ids[0]] == [without_padding(words) for words in batch.token_ids[photo]]


def test_the_seed_decides_the_samples() -> None:
    language = TinyLanguage(6, 3)
    first, again, other = (
        generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8, sample=True, num_captions=4, seed=seed)).token_ids
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_the_score_of_a_sample_is_its_log_probability_and_alphas_end_with_it() -> None:
    language = TinyLanguage(3, 4)
    config = GenerationConfig(beam=1, max_length=6, sample=True, num_captions=5, temperature=2.0)
    samples = generate(language.step, (language.start,), config)
    for photo in range(3):
        for padded, score, alphas in zip(samples.token_ids[photo], samples.scores[photo], samples.alphas[photo], strict=True):
            words = without_padding(padded)
            assert score.item() == pytest.approx(language.log_prob(photo, words), abs=1e-4)
            assert torch.allclose(alphas.sum(-1), (torch.arange(len(padded)) < len(words)).float(), atol=1e-5)
            assert alphas.shape[-1] == LOCATIONS


def test_sampling_among_one_word_is_greedy_search() -> None:
    language = TinyLanguage(5, 5)
    greedy = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8))
    for options in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-4}, {"temperature": 1e-45}):
        samples = generate(language.step, (language.start,), GenerationConfig(beam=1, max_length=8, sample=True, **options))  # type: ignore[arg-type]
        for photo in range(5):
            assert without_padding(samples.token_ids[photo, 0]) == without_padding(greedy.token_ids[photo, 0])
