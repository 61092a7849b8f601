"""What the rules measure: from result tables to a summary with its interval.

Accuracies in per cent, rates in spikes per ms, durations in seconds; differences and ratios seed by seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pandas as pd

from spsn.replication import statistics
from spsn.replication.claim_parts import Part
from spsn.replication.comparable import trained_apart
from spsn.replication.evidence import (
    NEAR,
    TIMINGS,
    Evidence,
    NotTested,
    by_seed,
    on_gpu,
    select_runs,
    select_times,
)
from spsn.replication.statistics import Summary, summarize
from spsn.replication.text import counted


@dataclass(frozen=True)
class Measured:
    """What a rule measured.

    `remark` says on what; `short` why a yes would not yet be one (empty: it would); `gpu`: whether times, if
    any, are a GPU's.
    """

    summary: Summary
    remark: str = ""
    short: str = ""
    gpu: bool = True


def _value(evidence: Evidence, part: Part) -> Measured:
    chosen = select_runs(evidence, part.options["of"])
    return Measured(summarize(by_seed(chosen).values()), _selected(part.options["of"], chosen))


def _difference(evidence: Evidence, part: Part) -> Measured:
    paths = part.options["greater"], part.options["lesser"]
    _require_same_training(evidence, *paths)
    greater, lesser = (select_runs(evidence, path) for path in paths)
    if part.options.get("same_conditions"):
        shared = set(greater.condition) & set(lesser.condition)
        if not shared:
            raise NotTested("no threshold gives both networks such a rate")
        greater, lesser = (side[side.condition.isin(shared)] for side in (greater, lesser))
    if part.options.get("similar_rate"):
        _require_similar(greater.rate.mean(), lesser.rate.mean())
    remarks = [_selected(path, side) for path, side in zip(paths, (greater, lesser), strict=True)]
    summary = statistics.difference(by_seed(greater), by_seed(lesser))
    return Measured(summary, "; ".join(dict.fromkeys(filter(None, remarks))))


def _ratio(evidence: Evidence, part: Part) -> Measured:
    greater, lesser = part.options["greater"], part.options["lesser"]
    if greater.split("/")[0] in TIMINGS:
        return _ratio_of_times(evidence, part, greater, lesser)
    _require_same_training(evidence, greater, lesser)
    sides = [by_seed(select_runs(evidence, path)) for path in (greater, lesser)]
    if any(value <= 0 for side in sides for value in side.values()):
        raise NotTested("a network without spikes has no ratio of rates")
    return Measured(statistics.ratio(*sides))


def _ratio_of_times(evidence: Evidence, part: Part, greater: str, lesser: str) -> Measured:
    """Repeats are not pairs. One measurement alone on either side has no interval: the ratio of the medians
    then counts within the factor `margin`.
    """
    steps = part.options.get("steps")
    above, below = select_times(evidence, greater, steps), select_times(evidence, lesser, steps)
    gpu = on_gpu([*above.device, *below.device])
    if 1 in (len(above), len(below)):
        quotient, margin = float(above.value.median() / below.value.median()), part.options.get("margin")
        known = (quotient / margin, quotient * margin) if margin else (nan, nan)
        remark = "one measurement" + (f", judged within a factor of {margin:g}" if margin else "")
        return Measured(Summary(quotient, nan, *known, 1), remark, gpu=gpu)
    summary = statistics.ratio(dict(enumerate(above.value)), {-1 - i: v for i, v in enumerate(below.value)})
    return Measured(summary, gpu=gpu)


def _flat(evidence: Evidence, part: Part) -> Measured:
    chosen = select_runs(evidence, part.options["of"])
    if chosen.condition.nunique() < 2:
        raise NotTested(f"only one threshold ({_selected(part.options['of'], chosen)}) gives such a rate")
    slopes = []
    for _, runs in chosen.groupby("seed"):
        rates = np.log2(runs.rate)
        if len(runs) > 1 and np.ptp(rates) > 0:
            slopes.append(np.polyfit(rates, runs.value, 1)[0])
    return Measured(summarize(slopes), _selected(part.options["of"], chosen))


def _growth(evidence: Evidence, part: Part) -> Measured:
    """Over the medians of each length, up to `up_to`. A yes needs the lengths that `covers` names."""
    rows = select_times(evidence, part.options["of"])
    rows = rows[rows.steps <= part.options.get("up_to", inf)]
    if rows.empty:
        raise NotTested(f"no length up to T = {part.options['up_to']} was measured")
    medians = rows.groupby("steps").value.median()
    reach = f"T = {medians.index.min()} to {medians.index.max()}"
    first, last = part.options.get("covers", (medians.index.min(), medians.index.max()))
    covered = medians.index.min() <= first and medians.index.max() >= last
    summary = statistics.growth_exponent(medians.index, medians.values)
    return Measured(summary, reach, "" if covered else f"measured only for {reach}", on_gpu(rows.device))


def _durations(evidence: Evidence, part: Part) -> Measured:
    """One ratio a threshold: the seeds of a stack share their epochs, so they are not independent here."""
    model = part.options["of"]
    a, b = evidence.settings.experiments.accuracy, evidence.settings.experiments.regularization
    if (a.network, a.training.batch_size, a.seeds) != (b.network, b.training.batch_size, b.seeds):
        raise NotTested("networks with and without regulariser differ in size, batch or seeds")
    plain = select_runs(evidence, f"accuracy/{model}/augmented/epoch_seconds")
    with_it = select_runs(evidence, f"regularization/{model}/all/epoch_seconds")
    logs = np.log(with_it.groupby("condition").value.mean() / plain.value.mean())
    gpu = on_gpu([*plain.device, *with_it.device])
    return Measured(
        statistics.exponentiate(summarize(logs)), f"over {counted(len(logs), 'threshold')}", gpu=gpu
    )


def _share(evidence: Evidence, part: Part) -> Measured:
    rows = _of_model(evidence.test_set, part)
    s = statistics.share(int((rows.distinct_labels == 1).sum()), len(rows))
    summary = Summary(100 * s.mean, nan, 100 * s.low, 100 * s.high, s.n)
    trials = int(rows.trials.min())
    return Measured(summary, f"{counted(trials, 'trial')} each", _too_few(trials, part))


def _labels(evidence: Evidence, part: Part) -> Measured:
    """A count, not an estimate: its interval is the count. Trials beyond the paper's number are left out."""
    shown = _shown(evidence, part)
    return _count(shown.predicted.nunique(), shown, part)


def _errors(evidence: Evidence, part: Part) -> Measured:
    """As `_labels`: how many of the trials gave the input another label than its own."""
    shown = _shown(evidence, part)
    return _count((shown.predicted != shown.true_label).sum(), shown, part)


def _shown(evidence: Evidence, part: Part) -> pd.DataFrame:
    """A line a trial of the one input that is shown again and again."""
    trials = _of_model(evidence.trials, part).drop_duplicates("trial").sort_values("trial")
    return trials.head(part.options["trials"])


def _count(count: float, shown: pd.DataFrame, part: Part) -> Measured:
    count, n = float(count), len(shown)
    remark = f"sample {shown['sample'].iloc[0]} of the test file"
    return Measured(Summary(count, nan, count, count, n), remark, _too_few(n, part))


def _too_few(trials: int, part: Part) -> str:
    wanted = part.options["trials"]
    return "" if trials >= wanted else f"{counted(trials, 'trial')}, not {wanted}"


def _seconds(evidence: Evidence, part: Part) -> Measured:
    rows = select_times(evidence, part.options["of"])
    return Measured(summarize(rows.value), f"on {', '.join(sorted(set(rows.device)))}")


def _of_model(table: pd.DataFrame, part: Part) -> pd.DataFrame:
    rows = table[table.model == part.options["of"]]
    if rows.empty:
        raise NotTested(f"no trials of {part.options['of']}")
    return rows


def _require_same_training(evidence: Evidence, greater: str, lesser: str) -> None:
    """A network trained for longer than another is more accurate for that alone."""
    apart = trained_apart(evidence.settings, greater.split("/")[0], lesser.split("/")[0])
    if apart:
        raise NotTested(f"the two were trained differently: {apart}")


def _require_similar(a: float, b: float) -> None:
    if not (a > 0 and b > 0 and max(a, b) <= NEAR * min(a, b)):
        raise NotTested(f"the rates are not similar: {a:.3g} and {b:.3g} spikes/ms")


def _selected(path: str, chosen: pd.DataFrame) -> str:
    """Which thresholds nearest-25, below-25 or above-50 have chosen, and their mean rates; else empty."""
    if not path.split("/")[2].startswith(("nearest", "below", "above")):
        return ""
    rates = chosen.groupby("condition").rate.mean()
    if len(rates) == 1:
        return f"threshold {rates.index[0].partition('-')[2]}: {rates.iloc[0]:.3g} spikes/ms"
    return f"{len(rates)} thresholds: {rates.min():.3g} to {rates.max():.3g} spikes/ms"


MEASURES: dict[str, Callable[[Evidence, Part], Measured]] = {
    "value": _value,
    "bound": _value,
    "ordering": _difference,
    "difference": _difference,
    "ratio": _ratio,
    "flat": _flat,
    "growth": _growth,
    "durations": _durations,
    "share": _share,
    "labels": _labels,
    "errors": _errors,
    "seconds": _seconds,
}
