"""Statistics of a comparison of cells: Welch's t-test, Holm's correction, effect size, detectable difference, and equivalence.

A test that finds no difference shows nothing: with few seeds it would find none between cells that differ. So each comparison also says
how large a difference it could have seen (`detectable`), and a pair counts as equal only after two one-sided tests (TOST) against a
margin that was chosen before. Each p-value is adjusted for the number of comparisons with one reference.

All of them assume nearly normal values. The runs of a cell that fails now and then are a mixture: where none of ten has failed, these
tests take it for equivalent too often.

The tests are scipy's and statsmodels'; this module says which of them is asked what.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind

SIGNIFICANCE, POWER = 0.05, 0.8
RUNS = [2**power for power in range(1, 11)]  # of which the first with enough power is looked for
MAX_RUNS = RUNS[-1]
PERMUTATIONS = 1_999


@dataclass(frozen=True)
class Sample:
    """The mean of n runs with its confidence interval (Student's t), and their standard deviation; one run has no interval."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """A cell against a reference.

    Attributes:
        difference: of the means, cell minus reference
        low, high: confidence interval of it (Welch), not adjusted
        p: of Welch's t-test
        p_holm: adjusted for all comparisons with this reference
        effect: Hedges' g, the difference in pooled standard deviations, corrected for small samples; None if nothing varies
        detectable: the smallest true difference that this number of runs finds with probability 0.8, at the level divided by the
            number of comparisons
        p_equivalence: of the two one-sided tests against the margin, adjusted as `p_holm`
        verdict: different, equivalent, or undecided
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    effect: float | None
    detectable: float
    p_equivalence: float
    verdict: str


def homogeneity_p(hits: Sequence[int], trials: Sequence[int]) -> float:
    """The p-value of Pearson's chi-squared test that all groups have one share of hits, by permutation: few hits are no chi-squared."""
    table = np.array([hits, np.subtract(trials, hits)])
    if 0 in table.sum(1):
        return 1.0
    method = stats.PermutationMethod(n_resamples=PERMUTATIONS, rng=np.random.default_rng(0))
    return float(stats.chi2_contingency(table, correction=False, method=method).pvalue)


def summarize_sample(values: Sequence[float], alpha: float = SIGNIFICANCE) -> Sample:
    """Mean, standard deviation and confidence interval of at least one run."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Sample(n, mean, None, None, None)
    sd = float(np.std(values, ddof=1))
    low, high = DescrStatsW(values).tconfint_mean(alpha)
    return Sample(n, mean, sd, float(low), float(high))


def compare_with_reference(
    samples: Mapping[str, Sequence[float]], reference: str, *, margin: float, alpha: float = SIGNIFICANCE
) -> dict[str, Comparison]:
    """Compare every other sample with the reference's.

    Args:
        samples: the runs of each cell; cells with fewer than two are left out
        margin: two cells whose true means differ by less are the same for practical purposes
        alpha: error rate of all comparisons together, of differences and of equivalences each

    Returns:
        by cell; empty if the reference has fewer than two runs
    """
    usable = {name: np.asarray(values, dtype=float) for name, values in samples.items() if len(values) > 1}
    if reference not in usable:
        return {}
    base = usable.pop(reference)
    if not usable:
        return {}
    p_values = [_welch_p(values, base) for values in usable.values()]
    p_equal = [equivalence_p(values, base, margin) for values in usable.values()]
    holm, holm_equal = (multipletests(p, alpha, method="holm")[1] for p in (p_values, p_equal))
    rows = zip(usable.items(), p_values, holm.tolist(), holm_equal.tolist(), strict=True)
    return {
        name: _comparison(values, base, p, adjusted, equal, alpha=alpha, comparisons=len(usable))
        for (name, values), p, adjusted, equal in rows
    }


def _comparison(
    values: np.ndarray, base: np.ndarray, p: float, p_holm: float, p_equivalence: float, *, alpha: float, comparisons: int
) -> Comparison:
    difference = float(values.mean() - base.mean())
    low, high = difference_interval(values, base, alpha)
    verdict = "different" if p_holm < alpha else "equivalent" if p_equivalence < alpha else "undecided"
    # A difference can be significant and still lie inside the margin: then it is no difference that matters.
    if p_holm < alpha and p_equivalence < alpha:
        verdict = "equivalent"
    detectable = detectable_difference(values, base, alpha / comparisons)
    return Comparison(difference, low, high, p, p_holm, hedges_g(values, base), detectable, p_equivalence, verdict)


def _is_constant(values: np.ndarray, base: np.ndarray) -> bool:
    """Whether neither sample varies, so that a t-test would divide by zero."""
    return bool(np.ptp(values) == 0 and np.ptp(base) == 0)


def _welch_p(values: np.ndarray, base: np.ndarray) -> float:
    if _is_constant(values, base):
        return float(values[0] == base[0])
    return float(stats.ttest_ind(values, base, equal_var=False).pvalue)


def difference_interval(values: np.ndarray, base: np.ndarray, alpha: float = SIGNIFICANCE) -> tuple[float, float]:
    """Welch's confidence interval of the difference of two means."""
    if _is_constant(values, base):
        return (float(values[0] - base[0]),) * 2
    interval = stats.ttest_ind(values, base, equal_var=False).confidence_interval(1 - alpha)
    return float(interval.low), float(interval.high)


def equivalence_p(values: np.ndarray, base: np.ndarray, margin: float) -> float:
    """The p-value of two one-sided Welch tests (Schuirmann 1987): small if the true difference lies within the margin."""
    if _is_constant(values, base):
        return float(abs(values[0] - base[0]) >= margin)
    return float(ttost_ind(values, base, -margin, margin, usevar="unequal")[0])


def pooled_sd(values: np.ndarray, base: np.ndarray) -> float:
    """The square root of the mean of two variances, each with weight n - 1."""
    weights = [len(values) - 1, len(base) - 1]
    return math.sqrt(float(np.average([values.var(ddof=1), base.var(ddof=1)], weights=weights)))


def hedges_g(values: np.ndarray, base: np.ndarray) -> float | None:
    """The difference of the means in pooled standard deviations, times 1 - 3 / (4 df - 1) (Hedges 1981); None if nothing varies."""
    if _is_constant(values, base):
        return None
    difference = float(values.mean() - base.mean())
    return difference / pooled_sd(values, base) * (1 - 3 / (4 * (len(values) + len(base) - 2) - 1))


def detectable_difference(values: np.ndarray, base: np.ndarray, alpha: float) -> float:
    """The smallest true difference that Welch's test at level alpha finds with probability POWER, if the variances are those seen here."""
    error, df = _welch_error((values.std(ddof=1), base.std(ddof=1)), (len(values), len(base)))
    return error * detectable_shift(round(df, 2), alpha) if error else 0.0


def _welch_error(sds: tuple[float, float], counts: tuple[int, int]) -> tuple[float, float]:
    """The standard error of the difference of two means, and its degrees of freedom (Welch & Satterthwaite).

    Where the variances differ, the sample that varies more has nearly all of the say.
    """
    one, other = (float(sd) ** 2 / count for sd, count in zip(sds, counts, strict=True))
    if one + other == 0:
        return 0.0, 1.0
    return math.sqrt(one + other), (one + other) ** 2 / (one**2 / (counts[0] - 1) + other**2 / (counts[1] - 1))


@cache
def detectable_shift(df: float, alpha: float, power: float = POWER) -> float:
    """The smallest true difference, in standard errors, that a two-sided t-test at level alpha finds with probability `power`."""
    highest = 10 * (1 + float(special.stdtrit(df, 1 - alpha / 2)))
    return float(optimize.brentq(lambda shift: t_test_power(shift, df, alpha) - power, 0, highest))


def runs_to_decide(sds: tuple[float, float], difference: float, margin: float, alpha: float) -> int | None:
    """How many runs of each of two cells show with probability POWER that they differ, or that they are equivalent.

    Args:
        sds: of the runs of each
        difference: the true one of their means
        alpha: level of either test

    Returns:
        None: more than MAX_RUNS, because the difference is nearly the margin and yet small against sd
    """
    count: int | None = next((count for count in RUNS if _power_to_decide(count, sds, abs(difference), margin, alpha) >= POWER), None)
    if count is None or count == RUNS[0]:
        return count
    few, many = count // 2, count
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _power_to_decide(middle, sds, abs(difference), margin, alpha) >= POWER else (middle, many)
    return many


def _power_to_decide(count: int, sds: tuple[float, float], difference: float, margin: float, alpha: float) -> float:
    error, df = _welch_error(sds, (count, count))
    if error == 0:
        return 1.0
    return max(t_test_power(difference / error, df, alpha), equivalence_power(difference / error, margin / error, df, alpha))


def equivalence_power(shift: float, margin: float, df: float, alpha: float) -> float:
    """Probability that two one-sided tests at level alpha find means equivalent; shift and margin in standard errors."""
    inside = margin - special.stdtrit(df, 1 - alpha) * _sd_ratios(df)
    return float(np.maximum(0, special.ndtr(inside - shift) - special.ndtr(-inside - shift)).mean())


def t_test_power(shift: float, df: float, alpha: float) -> float:
    """Probability that a two-sided t-test at level alpha finds means that lie `shift` standard errors apart.

    The mean over quantiles of the estimated standard deviation. With few degrees of freedom scipy's noncentral t gives NaN here and there,
    and statsmodels' solver, which builds on it, stops at wrong values.
    """
    bounds = special.stdtrit(df, 1 - alpha / 2) * _sd_ratios(df)
    return float((special.ndtr(shift - bounds) + special.ndtr(-shift - bounds)).mean())


@cache
def _sd_ratios(df: float, count: int = 2_000) -> np.ndarray:
    """Equally probable ratios of the estimated to the true standard deviation."""
    quantiles: np.ndarray = special.chdtri(df, (np.arange(count) + 0.5) / count)  # of chi squared
    return np.sqrt(quantiles / df)
