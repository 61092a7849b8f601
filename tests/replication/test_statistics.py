"""Statistics against scipy, closed forms and their own promise: 95 of 100 intervals hold the truth."""

from math import exp, inf, isnan, log, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from spsn.replication.statistics import (
    NOTHING,
    difference,
    growth_exponent,
    printed,
    ratio,
    share,
    summarize,
    welch,
)


def by_seed(values, first=0):
    return {first + i: float(v) for i, v in enumerate(values)}


def test_summary_is_students_interval():
    x = [0.71, 0.745, 0.739, 0.752]
    s = summarize(x)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(x), scale=stats.sem(x))
    assert (s.mean, s.sd, s.low, s.high, s.n) == pytest.approx((np.mean(x), np.std(x, ddof=1), low, high, 4))


def test_two_values_have_the_quantile_of_one_degree_of_freedom():
    s = summarize([1.0, 3.0])
    assert s.high - s.mean == pytest.approx(
        np.tan(0.95 * np.pi / 2)
    )  # t with 1 d.f. is Cauchy; sd / sqrt(2) is 1


def test_one_value_and_none_have_no_interval():
    s = summarize([0.7])
    assert s.mean == 0.7 and s.n == 1 and not s.known and isnan(s.sd)
    assert summarize([]) == NOTHING and not NOTHING.known


@pytest.mark.parametrize(("n", "known"), [(2, False), (5, False), (6, True), (10, True)])
def test_equal_values_have_an_interval_only_where_the_sign_test_gives_one(n, known):
    s = summarize([1.0] * n)
    assert s.sd == 0 and s.known is known
    assert not known or (s.low, s.high) == (1.0, 1.0)
    assert known == (stats.binomtest(n, n).pvalue <= 0.05)


def test_differences_equal_up_to_rounding_count_as_equal():
    a, b = {0: 0.3, 1: 0.8}, {0: 0.2, 1: 0.7}
    assert a[0] - b[0] != a[1] - b[1]
    assert not difference(a, b).known


@pytest.mark.parametrize("bad", [nan, inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        summarize([0.5, bad])


def test_shared_seeds_are_paired():
    rng = np.random.default_rng(1)
    base = rng.normal(0.8, 0.05, 8)
    a, b = by_seed(base + 0.01 + rng.normal(0, 0.002, 8)), by_seed(base)
    s = difference(a, b)
    interval = stats.ttest_rel(list(a.values()), list(b.values())).confidence_interval(0.95)
    assert (s.low, s.high, s.n) == pytest.approx((*interval, 8))
    assert (
        s.low > 0 > welch(summarize(a.values()), summarize(b.values())).low
    )  # pairing takes the common part out


def test_pairing_follows_the_seed_and_not_the_order():
    a = {0: 0.5, 1: 0.6, 2: 0.8}
    assert difference(a, {2: 0.7, 0: 0.45, 1: 0.5}) == difference(a, {0: 0.45, 1: 0.5, 2: 0.7})


def test_seeds_that_only_one_side_has_are_left_out_of_the_pairs():
    a = {0: 0.5, 1: 0.6, 2: 0.9, 3: 0.1}
    s = difference(a, {0: 0.4, 1: 0.55, 2: 0.7, 9: 0.0})
    expected = summarize([0.1, 0.05, 0.2])
    assert (s.mean, s.low, s.high, s.n) == pytest.approx((expected.mean, expected.low, expected.high, 3))


def test_without_shared_seeds_the_difference_is_welchs():
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, 6), rng.normal(1, 3, 9)
    s = difference(by_seed(x), by_seed(y, first=100))
    interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert (s.mean, s.low, s.high, s.n) == pytest.approx((x.mean() - y.mean(), *interval, 6))


def test_welch_with_equal_spreads_and_sizes_has_all_degrees_of_freedom():
    a, b = printed(86.0, 1.5), printed(85.0, 1.5)
    half = stats.t.ppf(0.975, 18) * sqrt(2 * 1.5**2 / 10)
    assert (welch(a, b).low, welch(a, b).high) == pytest.approx((1 - half, 1 + half))


def test_one_seed_a_side_decides_nothing():
    assert not difference({0: 0.9}, {0: 0.1}).known
    assert not difference({0: 0.9}, {1: 0.1}).known
    assert not difference({0: 0.9, 1: 0.91}, {2: 0.1}).known


def test_ratio_is_symmetric_and_of_geometric_means():
    a, b = {0: 8.0, 1: 12.0, 2: 10.0}, {0: 1.0, 1: 1.3, 2: 0.9}
    up, down = ratio(a, b), ratio(b, a)
    assert up.mean == pytest.approx(exp(np.mean([log(a[i] / b[i]) for i in a])))
    assert (down.low, down.high) == pytest.approx((1 / up.high, 1 / up.low))
    with pytest.raises(ValueError, match="above 0"):
        ratio({0: 0.0, 1: 1.0}, b)


def test_growth_exponent_of_a_power_law_is_its_power():
    x = np.array([100, 200, 500, 1000])
    s = growth_exponent(x, 3e-5 * x**1.5)
    assert (s.mean, s.low, s.high, s.n) == pytest.approx((1.5, 1.5, 1.5, 4))


def test_growth_exponent_has_the_interval_of_least_squares():
    rng = np.random.default_rng(3)
    x = np.array([100.0, 200, 500, 1000, 2000])
    y = x * np.exp(rng.normal(0, 0.3, 5))
    s = growth_exponent(x, y)
    fit, covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)  # scaled by the residual variance
    half = stats.t.ppf(0.975, 3) * sqrt(covariance[0, 0])
    assert (s.mean, s.low, s.high) == pytest.approx((fit[0], fit[0] - half, fit[0] + half))


def test_two_lengths_have_a_slope_but_no_interval():
    s = growth_exponent([100, 1000], [1.0, 10.0])
    assert s.mean == pytest.approx(1) and not s.known
    assert not growth_exponent([100], [1.0]).known


def test_share_is_clopper_and_pearsons():
    s = share(10, 10)
    assert (s.low, s.high) == pytest.approx((0.025**0.1, 1.0))
    s = share(3, 20)
    assert (s.low, s.high) == pytest.approx((stats.beta.ppf(0.025, 3, 18), stats.beta.ppf(0.975, 4, 17)))
    assert s.low < 3 / 20 < s.high and share(0, 0) == NOTHING


def test_95_of_100_intervals_hold_the_truth():
    rng = np.random.default_rng(4)
    n = 1000
    held = {"mean": 0, "difference": 0, "ratio": 0, "growth": 0}
    x = np.array([1.0, 2, 5, 10, 20])
    for _ in range(n):
        a, b = rng.normal(2, 1, 4), rng.normal(1, 3, 7)
        intervals = {
            "mean": (summarize(a), 2),
            "difference": (difference(by_seed(a), by_seed(b, 50)), 1),
            "ratio": (ratio(by_seed(np.exp(a)), by_seed(np.exp(a - 1 + rng.normal(0, 1, 4)))), exp(1)),
            "growth": (growth_exponent(x, x**0.5 * np.exp(rng.normal(0, 0.1, 5))), 0.5),
        }
        for name, (s, truth) in intervals.items():
            held[name] += s.low <= truth <= s.high
    margin = 4 * sqrt(0.95 * 0.05 / n)  # four standard errors
    assert all(abs(count / n - 0.95) < margin for count in held.values()), held


def test_share_covers_at_least_what_it_says():
    """Exact, over every outcome of 12 trials: the promise holds for any true share."""
    outcomes = [share(k, 12) for k in range(13)]
    for p in np.linspace(0.02, 0.98, 25):
        covered = sum(stats.binom.pmf(k, 12, p) for k, s in enumerate(outcomes) if s.low <= p <= s.high)
        assert covered >= 0.95 - 1e-12
