"""The study's statistics: against scipy and statsmodels where they overlap, against textbook sums, and against simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from showattend.study.statistics import (
    compare_with_reference,
    detectable_shift,
    difference_interval,
    equivalence_p,
    hedges_g,
    homogeneity_p,
    runs_to_decide,
    summarize_sample,
)

RUNS = 10


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_sample_has_the_interval_of_students_t(rng: np.random.Generator) -> None:
    values = rng.normal(3, 2, RUNS)
    sample = summarize_sample(values.tolist())
    low, high = stats.t.interval(0.95, RUNS - 1, values.mean(), stats.sem(values))
    assert (sample.n, sample.mean, sample.sd) == (RUNS, pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)))
    assert (sample.low, sample.high) == (pytest.approx(low), pytest.approx(high))


def test_a_single_run_has_no_interval() -> None:
    assert summarize_sample([2.0]).low is None


def test_welchs_test_and_interval_are_those_of_statsmodels(rng: np.random.Generator) -> None:
    samples = {"lstm": rng.normal(0, 1, RUNS), "gru": rng.normal(1, 3, 7), "elman": rng.normal(2, 1, RUNS)}
    compared = compare_with_reference({name: values.tolist() for name, values in samples.items()}, "lstm", margin=1.0)
    p_values = []
    for name, comparison in compared.items():
        means = CompareMeans(DescrStatsW(samples[name]), DescrStatsW(samples["lstm"]))
        p_values.append(means.ttest_ind(usevar="unequal")[1])
        assert comparison.p == pytest.approx(p_values[-1])
        assert (comparison.low, comparison.high) == pytest.approx(means.tconfint_diff(usevar="unequal"))
        assert comparison.difference == pytest.approx(samples[name].mean() - samples["lstm"].mean())
    assert [comparison.p_holm for comparison in compared.values()] == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_comparisons(rng: np.random.Generator) -> None:
    samples = {name: rng.normal(shift, 1, RUNS).tolist() for name, shift in (("a", 0), ("b", 0.2), ("c", 0.9), ("d", 2.0))}
    compared = compare_with_reference(samples, "a", margin=1.0)
    smallest = min(compared.values(), key=lambda comparison: comparison.p)
    assert smallest.p_holm == pytest.approx(min(1, 3 * smallest.p))


def test_hedges_g_by_hand() -> None:
    one, other = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    assert hedges_g(one, other) == pytest.approx(-2 / math.sqrt((1 + 4) / 2) * (1 - 3 / 15))


def test_equivalence_is_the_larger_of_two_one_sided_tests(rng: np.random.Generator) -> None:
    one, other = rng.normal(0.1, 1, RUNS), rng.normal(0, 2, RUNS)
    lower = stats.ttest_ind(one + 1.5, other, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(one - 1.5, other, equal_var=False, alternative="less").pvalue
    assert equivalence_p(one, other, 1.5) == pytest.approx(max(lower, upper))


@pytest.mark.parametrize("df", [1.0, 2.0, 4.7, 6.0, 18.0])
@pytest.mark.parametrize("comparisons", [1, 7, 20, 27])
def test_the_detectable_shift_is_found_with_the_stated_power(df: float, comparisons: int) -> None:
    """The noncentral t as an integral over the estimated standard deviation; scipy's own is NaN at some of these points."""
    alpha = 0.05 / comparisons
    shift, critical = detectable_shift(df, alpha), stats.t.isf(alpha / 2, df)

    def found(ratio: float) -> float:
        density = stats.chi.pdf(ratio * math.sqrt(df), df) * math.sqrt(df)
        return float((stats.norm.sf(critical * ratio - shift) + stats.norm.cdf(-critical * ratio - shift)) * density)

    assert integrate.quad(found, 0, np.inf)[0] == pytest.approx(0.8, abs=2e-4)
    noncentral = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert np.isnan(noncentral) or noncentral == pytest.approx(0.8, abs=2e-4)


def spread(rng: np.random.Generator, mean: float, sd: float, count: int) -> np.ndarray:
    """Values of exactly this mean and standard deviation."""
    values = rng.normal(size=count)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize(("sds", "counts"), [((1.0, 1.0), (10, 10)), ((12.0, 1.0), (10, 10)), ((1.0, 3.0), (5, 20))])
def test_the_detectable_difference_is_found_by_so_many_studies_of_unequal_variances(
    sds: tuple[float, float], counts: tuple[int, int], rng: np.random.Generator
) -> None:
    samples = {name: spread(rng, 0, sd, count).tolist() for name, sd, count in zip("ab", sds, counts, strict=True)}
    others = {name: spread(rng, 0, 1, 10).tolist() for name in "cdef"}  # five comparisons, to whose number the level is adjusted
    detectable = compare_with_reference({**samples, **others}, "b", margin=1.0)["a"].detectable
    trials = 4000
    one, other = (rng.normal(0, sd, (trials, count)) for sd, count in zip(sds, counts, strict=True))
    found = int((stats.ttest_ind(one + detectable, other, axis=1, equal_var=False).pvalue < 0.05 / 5).sum())
    assert share(found, trials)[0] - 0.01 <= 0.8 <= share(found, trials)[1] + 0.01


@pytest.mark.parametrize("sds", [(2.0, 2.0), (3.0, 0.2)])
@pytest.mark.parametrize(("difference", "margin"), [(0.0, 1.0), (0.5, 1.0), (1.5, 1.0)])
def test_the_runs_that_are_needed_decide(difference: float, margin: float, sds: tuple[float, float], rng: np.random.Generator) -> None:
    needed = runs_to_decide(sds, difference, margin, 0.01)
    assert needed
    trials = 2000
    for count, enough in ((needed, True), (needed * 3 // 4, False)):
        one, other = rng.normal(difference, sds[0], (trials, count)), rng.normal(0, sds[1], (trials, count))
        different = stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.01
        lower = stats.ttest_ind(one + margin, other, axis=1, equal_var=False, alternative="greater").pvalue < 0.01
        upper = stats.ttest_ind(one - margin, other, axis=1, equal_var=False, alternative="less").pvalue < 0.01
        decided = max(int(different.sum()), int((lower & upper).sum()))
        assert (share(decided, trials)[1] + 0.01 >= 0.8) == enough


def test_a_difference_at_the_margin_is_never_decided_and_without_noise_at_once() -> None:
    assert runs_to_decide((100.0, 100.0), 1.0, 1.0, 0.01) is None
    assert runs_to_decide((0.0, 0.0), 1.0, 2.0, 0.01) == runs_to_decide((1e-4, 1e-4), 1.0, 0.5, 0.01) == 2


def test_verdicts(rng: np.random.Generator) -> None:
    noise = {name: rng.normal(0, 1, 20) for name in ("reference", "far", "same", "unclear")}
    samples = {
        "reference": noise["reference"],
        "far": 10 + noise["far"],
        "same": noise["reference"].mean() + 0.1 * noise["same"],
        "unclear": noise["reference"].mean() + 3 * (noise["unclear"] - noise["unclear"].mean()),
    }
    compared = compare_with_reference({name: values.tolist() for name, values in samples.items()}, "reference", margin=1.0)
    assert {name: comparison.verdict for name, comparison in compared.items()} == {
        "far": "different",
        "same": "equivalent",
        "unclear": "undecided",
    }


def test_a_certain_difference_inside_the_margin_counts_as_equivalent() -> None:
    samples = {"a": [0.0, 0.001, 0.002, 0.001], "b": [0.1, 0.101, 0.102, 0.101]}
    (comparison,) = compare_with_reference(samples, "a", margin=1.0).values()
    assert comparison.p_holm < 0.05
    assert comparison.verdict == "equivalent"


def test_samples_that_do_not_vary_are_compared_without_a_test() -> None:
    compared = compare_with_reference({"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [2.0, 2.0]}, "a", margin=0.5)
    assert (compared["b"].p, compared["b"].effect, compared["b"].verdict) == (1.0, None, "equivalent")
    assert (compared["c"].p, compared["c"].effect, compared["c"].verdict) == (0.0, None, "different")
    assert difference_interval(np.ones(2), np.zeros(2)) == (1.0, 1.0)
    assert hedges_g(np.full(3, 0.1), np.full(10, 0.9)) is None, "the mean of ten times 0.9 is not 0.9"


def test_a_reference_or_a_cell_with_a_single_run_is_not_compared() -> None:
    assert compare_with_reference({"a": [1.0], "b": [1.0, 2.0]}, "a", margin=1) == {}
    assert list(compare_with_reference({"a": [1.0, 2.0], "b": [1.0], "c": [1.0, 3.0]}, "a", margin=1)) == ["c"]


def share(hits: int, trials: int) -> tuple[float, float]:
    """The exact 99.9% interval of a share (Clopper & Pearson)."""
    interval = stats.binomtest(hits, trials).proportion_ci(0.999)
    return interval.low, interval.high


def test_homogeneity_is_a_permutation_test_of_shares(rng: np.random.Generator) -> None:
    assert homogeneity_p([0, 9], [10, 10]) < 0.01
    assert homogeneity_p([3, 3], [10, 10]) == homogeneity_p([0, 0], [10, 10]) == 1.0
    # Of two groups it is Fisher's exact test, but for the randomness of the permutations.
    exact = stats.fisher_exact([[1, 5], [9, 5]]).pvalue
    assert homogeneity_p([1, 5], [10, 10]) == pytest.approx(exact, abs=0.05)
    significant = sum(homogeneity_p(rng.binomial(10, 0.2, 12).tolist(), [10] * 12) < 0.05 for _ in range(60))
    assert share(significant, 60)[0] <= 0.05


def test_equivalence_is_claimed_too_often_where_a_cell_fails_now_and_then(rng: np.random.Generator) -> None:
    """Why the report counts such runs: of ten, a third of all samples have none of a tenth, and a mean that is not the cell's."""
    trials, margin = 400, 0.05
    failed = rng.random((trials, RUNS)) < 0.1
    cells, reference = rng.normal(0, 0.02, (2, trials, RUNS))
    equal = [equivalence_p(cell + 0.55 * fail, other, margin) < 0.05 for cell, fail, other in zip(cells, failed, reference, strict=True)]
    assert margin < 0.1 * 0.55, "they differ by more than the margin"
    assert share(sum(equal), trials)[0] > 0.25
    assert share(sum(equal), trials)[1] < 0.45


@pytest.mark.parametrize("trials", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_simulated_errors_and_power_are_as_stated(trials: int, rng: np.random.Generator) -> None:
    """Of many studies of 4 equal cells at most a share of 0.05 finds any difference; one at the detectable difference is found by 0.8."""
    alpha = 0.05
    false, alone, found, falsely_equal, equal = 0, 0, 0, 0, 0
    effect = detectable_shift(2 * RUNS - 2, alpha) * math.sqrt(2 / RUNS)
    for _ in range(trials):
        data = {name: values.tolist() for name, values in zip("abcd", rng.normal(0, 1, (4, RUNS)), strict=True)}
        false += any(comparison.p_holm < alpha for comparison in compare_with_reference(data, "a", margin=1).values())
        one, other, far = rng.normal(0, 1, (3, RUNS))
        alone += compare_with_reference({"a": one.tolist(), "b": other.tolist()}, "a", margin=1)["b"].p_holm < alpha
        found += stats.ttest_ind(one + effect, other, equal_var=False).pvalue < alpha
        falsely_equal += equivalence_p(far + 1.5, other, 1.5) < alpha  # the true difference is the margin itself
        equal += equivalence_p(one, other, 1.5) < alpha
    assert share(false, trials)[0] <= alpha
    low, high = share(alone, trials)
    assert low <= alpha <= high
    low, high = share(found, trials)
    assert low <= 0.8 <= high
    low, high = share(falsely_equal, trials)
    assert low <= alpha <= high
    # The power of TOST for equal means: both one-sided tests pass if |difference| < margin - t * standard error.
    standard_error, t = math.sqrt(2 / RUNS), stats.t.ppf(1 - alpha, 2 * RUNS - 2)
    low, high = share(equal, trials)
    assert low - 0.03 <= 2 * stats.norm.cdf(1.5 / standard_error - t) - 1 <= high + 0.03
