"""Error bars that are right: against corpora resampled by hand, all swaps counted, and simulated truth."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from showattend.metrics import CiderD, bleu, compare, corpus_scores, corpus_statistics, intervals, rouge_l
from showattend.metrics.significance import resampled_sums

WORDS = ["a", "the", "dog", "cat", "runs", "sits", "on", "grass", "red", "big", "two"]


def random_corpus(photos: int, seed: int, quality: float) -> tuple[dict[int, list[str]], dict[int, list[list[str]]]]:
    """Captions that keep, with some probability, each word of a reference."""
    rng = random.Random(seed)
    references = {i: [rng.choices(WORDS, k=rng.randint(4, 12)) for _ in range(3)] for i in range(photos)}
    return random_captions(references, rng, quality), references


def random_captions(references: dict[int, list[list[str]]], rng: random.Random, quality: float) -> dict[int, list[str]]:
    return {i: [w if rng.random() < quality else rng.choice(WORDS) for w in rng.choice(of)] for i, of in references.items()}


def test_the_sums_of_statistics_give_each_score() -> None:
    captions, references = random_corpus(60, 0, 0.6)
    result = corpus_scores(captions, references)
    assert {name: result[name] for name in ("bleu1", "bleu2", "bleu3", "bleu4")} == pytest.approx(bleu(captions, references))
    assert result["rouge_l"] == pytest.approx(rouge_l(captions, references))
    assert result["cider_d"] == pytest.approx(float(CiderD(list(references.values())).scores(range(60), list(captions.values())).mean()))


def test_a_resampled_value_is_the_score_of_the_drawn_photos() -> None:
    captions, references = random_corpus(30, 1, 0.6)
    statistics = corpus_statistics(captions, references)
    result = statistics.values_of_sums(resampled_sums(statistics.matrix, 5, seed=3))
    times = np.random.default_rng(3).multinomial(30, np.full(30, 1 / 30), 5)
    for row, counts in enumerate(times):
        resampled = [i for i in range(30) for _ in range(counts[i])]
        corpus = {n: captions[i] for n, i in enumerate(resampled)}, {n: references[i] for n, i in enumerate(resampled)}
        assert result["bleu4"][row] == pytest.approx(bleu(*corpus)["bleu4"])
        assert result["rouge_l"][row] == pytest.approx(rouge_l(*corpus))


def test_a_system_does_not_differ_from_itself() -> None:
    statistics = corpus_statistics(*random_corpus(40, 2, 0.5))
    for result in compare(statistics, statistics, resamples=200).values():
        assert result.difference == 0
        assert result.interval == (0, 0)
        assert result.p == 1


def test_a_better_system_is_significantly_better_in_both_orders() -> None:
    good, references = random_corpus(150, 3, 0.9)
    bad = random_captions(references, random.Random(9), 0.4)
    one, other = corpus_statistics(good, references), corpus_statistics(bad, references)
    back = compare(other, one)
    for name, result in compare(one, other).items():
        assert result.p < 0.01
        assert 0 < result.interval.low < result.difference < result.interval.high
        assert back[name].difference == pytest.approx(-result.difference)
        assert intervals(one)[name].low < one.values()[name] < intervals(one)[name].high


def test_the_p_value_is_close_to_the_share_over_all_swaps() -> None:
    captions, references = random_corpus(9, 4, 0.7)
    one, other = (corpus_statistics(c, references) for c in (captions, random_captions(references, random.Random(5), 0.6)))
    swaps = np.array(list(itertools.product((0.0, 1.0), repeat=9)))
    moved = swaps @ (other.matrix - one.matrix)
    first, second = one.values_of_sums(one.matrix.sum(0) + moved), one.values_of_sums(other.matrix.sum(0) - moved)
    for name, result in compare(one, other, resamples=20000).items():
        exact = (abs(first[name] - second[name]) >= abs(result.difference) - 1e-12).mean()
        assert result.p == pytest.approx(exact, abs=0.015)


def test_intervals_depend_on_the_seed_only() -> None:
    statistics = corpus_statistics(*random_corpus(40, 5, 0.5))
    assert intervals(statistics, seed=1) == intervals(statistics, seed=1) != intervals(statistics, seed=2)


def test_systems_on_different_photos_cannot_be_compared() -> None:
    captions, references = random_corpus(5, 6, 0.5)
    fewer = corpus_statistics({1: captions[1]}, {1: references[1]})
    with pytest.raises(ValueError, match="same photos"):
        compare(corpus_statistics(captions, references), fewer)


@pytest.mark.slow
def test_95_percent_intervals_cover_the_true_value_in_95_percent_of_samples() -> None:
    """1,000 corpora of 400 photos out of a population of 20,000, whose scores are the truth; 95% intervals."""
    population = corpus_statistics(*random_corpus(20000, 7, 0.6))
    truth = population.values()
    rng = np.random.default_rng(8)
    covered = dict.fromkeys(truth, 0)
    for simulation in range(1000):
        sample = replace(population, matrix=population.matrix[rng.integers(0, 20000, 400)])
        for name, (low, high) in intervals(sample, resamples=1000, seed=simulation).items():
            covered[name] += low <= truth[name] <= high
    assert all(930 <= count <= 970 for count in covered.values()), covered
