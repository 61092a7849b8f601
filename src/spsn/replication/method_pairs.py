"""Pairs of methods on the same seeds: what one gives more than the other.

Equal seeds have equal initial weights, order of samples and augmentation, so differences are taken seed by
seed and only their spread counts. `CONTROLS` (of `spsn.methods`) are pairs with one gradient by theorem:
what differs between them is noise, or a fault in a program. `CONTRASTS` differ in one thing each.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spsn.methods import CONTROLS
from spsn.replication.compared import by_seed, of, steps_of
from spsn.replication.statistics import NOTHING, Summary, difference

IDENTICAL, AGREES, HIGHER, LOWER, UNKNOWN = "identical", "contains 0", "higher", "lower", "not known"


@dataclass(frozen=True)
class Contrast:
    """What `one` has that `other` has not, all else being equal."""

    about: str
    one: str
    other: str


_STEPWISE, _CENTRED = "loss at every step, not on the mean", "reset estimate centred at the threshold"
CONTRASTS = (
    Contrast("reset in the gradient", "exodus", "slayer"),
    Contrast("reset in the gradient, loss at every step", "exodus-per-step", "slayer-per-step"),
    Contrast("exact gradient, not the current step's", "exodus-per-step", "ottt"),
    Contrast("exact gradient, not the last rates'", "exodus-final", "saf-f"),
    Contrast("traces in the first layer", "ottt", "ottt-instantaneous-input"),
    Contrast(_STEPWISE, "lif-per-step", "lif"),
    Contrast(_STEPWISE, "spsn-sb-per-step", "spsn-sb"),
    Contrast(_STEPWISE, "exodus-per-step", "exodus"),
    Contrast(_STEPWISE, "slayer-per-step", "slayer"),
    Contrast(_CENTRED, "psu-centred", "psu"),
    Contrast(_CENTRED, "ipsu-sigmoid-centred", "ipsu-sigmoid"),
    Contrast(_CENTRED, "rpsu-centred", "rpsu"),
)


@dataclass(frozen=True)
class Pair:
    """`one` minus `other` in steps of `time_step` seconds.

    accuracy     in points, over the seeds that both have
    rate         spikes per ms, in per cent of the other's mean; NaN where there is none
    differences  (seeds, 2): both by seed, NaN where a rate is unknown
    identical    whether all shared seeds have equal accuracies and equal rates
    """

    one: str
    other: str
    time_step: float
    accuracy: Summary
    rate: Summary
    differences: np.ndarray
    identical: bool

    @property
    def verdict(self) -> str:
        """Whether the interval of the accuracies' difference contains 0, or on which side of it it lies."""
        if self.identical:
            return IDENTICAL
        return verdict(self.accuracy)


def verdict(summary: Summary) -> str:
    """On which side of 0 an interval lies; `UNKNOWN` where there is none."""
    if not summary.known:
        return UNKNOWN
    if summary.low <= 0 <= summary.high:
        return AGREES
    return HIGHER if summary.low > 0 else LOWER


def control_pairs(runs: pd.DataFrame) -> list[Pair]:
    """`CONTROLS` on every time step that both were trained on; `runs` are `compared.with_methods`'."""
    return pairs(runs, CONTROLS)


def contrast_pairs(runs: pd.DataFrame) -> list[tuple[Contrast, Pair]]:
    """`CONTRASTS` on every time step that both were trained on."""
    return [(c, pair) for c in CONTRASTS for pair in pairs(runs, [(c.one, c.other)])]


def pairs(runs: pd.DataFrame, names: Iterable[tuple[str, str]]) -> list[Pair]:
    """The pairs of methods with a seed in common, by names, then by time step."""
    found = [_pair(runs, one, other, step) for one, other in names for step in steps_of(runs)]
    return [pair for pair in found if pair is not None]


def _pair(runs: pd.DataFrame, one: str, other: str, step: float) -> Pair | None:
    left, right = of(runs, one, step), of(runs, other, step)
    shared = sorted(set(left.seed) & set(right.seed))
    if not shared:
        return None
    left, right = (side[side.seed.isin(shared)] for side in (left, right))
    accuracies = [
        {seed: 100 * hit for seed, hit in by_seed(s, "test_accuracy").items()} for s in (left, right)
    ]
    fired = [by_seed(side, "spikes_per_ms") for side in (left, right)]
    mean = float(np.mean(list(fired[1].values())))
    unit = mean / 100 if mean > 0 else np.nan
    rates = [{seed: rate / unit for seed, rate in side.items()} for side in fired]
    both = np.array([[a[seed] - b[seed] for a, b in (accuracies, rates)] for seed in shared])
    rate = difference(*rates) if np.isfinite(both[:, 1]).all() else NOTHING
    same = accuracies[0] == accuracies[1] and fired[0] == fired[1]
    return Pair(one, other, step, difference(*accuracies), rate, both, same)
