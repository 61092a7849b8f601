"""Statistics over seeds: every number of the report with what is known about it, and never only the best run.

    mean         m -+ t(1 - a/2, n - 1) s / sqrt(n)                      Student (1908), s with n - 1
    difference   the same on the differences seed by seed where the groups share seeds, else Welch (1947):
                 m1 - m2 -+ t(1 - a/2, v) sqrt(s1^2/n1 + s2^2/n2),   v by Welch and Satterthwaite
    ratio        exp of the difference of the means of the logarithms: a ratio of geometric means, so that a/b
                 and b/a say the same and the interval stays above 0 (Fieller's need not)
    growth       slope of log y on log x by least squares, t with n - 2 degrees of freedom
    share        Clopper and Pearson (1934): exact, so never narrower than it says

a = 0.05 everywhere. Where an interval cannot be known its ends are NaN: one value; fewer than six values that
are all the same (the t interval would have no width, which says nothing). Six or more equal values have the
interval from smallest to largest: it holds the median with probability 1 - 2^(1-n) > 0.95, whatever the law.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, inf, isfinite, log, nan, sqrt

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RUNS_IN_PAPER = 10


@dataclass(frozen=True)
class Summary:
    """A mean and its 95 % confidence interval `low` to `high` (NaN: not known), from `n` independent values.

    `sd` is the standard deviation (n - 1) of what was averaged: values, differences seed by seed, logarithms
    of ratios seed by seed; NaN where there is no single one (one value, Welch, slopes, shares).
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return isfinite(self.low) and isfinite(self.high)


NOTHING = Summary(nan, nan, nan, nan, 0)


def summarize(values: Iterable[float]) -> Summary:
    """Mean, standard deviation and t interval of `values`, one per seed.

    Raises `ValueError` if one is not finite.
    """
    x = _finite(values)
    n = len(x)
    if n < 2:
        return Summary(float(x[0]), nan, nan, nan, 1) if n else NOTHING
    mean, sd = float(x.mean()), float(x.std(ddof=1))
    if _all_equal(x):
        return Summary(mean, 0.0, *(_sign_interval(x)), n)
    half = _t(n - 1) * sd / sqrt(n)
    return Summary(mean, sd, mean - half, mean + half, n)


def difference(greater: Mapping[int, float], lesser: Mapping[int, float]) -> Summary:
    """Mean of `greater` minus mean of `lesser`, both by seed.

    Paired over the shared seeds where there are two or more (the same seed has the same order of samples and
    the same augmentation); without shared seeds Welch's interval with n the smaller of the two numbers.
    """
    shared = sorted(set(greater) & set(lesser))
    if len(shared) >= 2 or set(greater) == set(lesser):
        return summarize([greater[seed] - lesser[seed] for seed in shared])
    return welch(summarize(greater.values()), summarize(lesser.values()))


def welch(a: Summary, b: Summary) -> Summary:
    """The difference of two independent means, a - b, from their summaries; n is the smaller of the two."""
    n, gap = min(a.n, b.n), a.mean - b.mean
    if n < 2 or a.sd + b.sd == 0:
        return Summary(gap, nan, nan, nan, n)
    va, vb = a.sd**2 / a.n, b.sd**2 / b.n
    freedom = (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))
    half = _t(freedom) * sqrt(va + vb)
    return Summary(gap, nan, gap - half, gap + half, n)


def printed(mean: float, spread: float, n: int = RUNS_IN_PAPER) -> Summary:
    """A mean and spread as a paper prints them, the spread read as the standard deviation of `n` runs."""
    half = _t(n - 1) * spread / sqrt(n)
    return Summary(mean, spread, mean - half, mean + half, n)


def ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Summary:
    """How many times `below` goes into `above`, both by seed: geometric means, interval from the logarithms.

    Paired and unpaired as `difference`. Raises `ValueError` if a value is not above 0.
    """
    return exponentiate(difference(_logs(above), _logs(below)))


def exponentiate(logs: Summary) -> Summary:
    """The summary of logarithms as one of geometric means; `sd` stays that of the logarithms."""
    return Summary(exp(logs.mean), logs.sd, exp(logs.low), exp(logs.high), logs.n)


def growth_exponent(x: Iterable[float], y: Iterable[float]) -> Summary:
    """The power p of y ~ x^p with its interval; n is the number of points.

    Give one y per x (the median of the repeats): the interval then tells how well a power law describes the
    curve, whereas repeats would pretend to be more points of it. Two points have a slope but no interval.
    """
    x, y = np.log(_finite(x)), np.log(_finite(y))
    n = len(x)
    if n < 2 or np.ptp(x) == 0:
        return Summary(nan, nan, nan, nan, n)
    fit = stats.linregress(x, y)
    half = _t(n - 2) * fit.stderr if n > 2 else nan
    return Summary(float(fit.slope), nan, float(fit.slope - half), float(fit.slope + half), n)


def share(hits: int, total: int) -> Summary:
    """The share hits/total (0-1) with Clopper and Pearson's interval; n is `total`."""
    if total == 0:
        return NOTHING
    interval = stats.binomtest(int(hits), int(total)).proportion_ci(CONFIDENCE, method="exact")
    return Summary(hits / total, nan, float(interval.low), float(interval.high), int(total))


def _logs(values: Mapping[int, float]) -> dict[int, float]:
    if any(value <= 0 for value in values.values()):
        raise ValueError("a ratio needs values above 0")
    return {seed: log(value) for seed, value in values.items()}


def _finite(values: Iterable[float]) -> np.ndarray:
    x = np.asarray(list(values), dtype=float)
    if not np.isfinite(x).all():
        raise ValueError("statistics need finite values")
    return x


def _all_equal(x: np.ndarray) -> bool:
    """Equal up to rounding: differences of equal accuracies are not always the same to the last bit."""
    return bool(np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())))


def _sign_interval(x: np.ndarray) -> tuple[float, float]:
    return (float(x.min()), float(x.max())) if 2.0 ** (1 - len(x)) <= 1 - CONFIDENCE else (nan, nan)


def _t(freedom: float) -> float:
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) if freedom > 0 else inf
