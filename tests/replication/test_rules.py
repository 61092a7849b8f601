"""Rules: the decision on an interval, and each rule with every verdict that it can reach."""

from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from spsn.replication.claim_parts import Part
from spsn.replication.evidence import select_runs
from spsn.replication.rules import decide
from spsn.replication.statistics import Summary
from spsn.settings import from_mapping, to_mapping

LIF, SB = "accuracy/lif/augmented", "accuracy/spsn-sb/augmented"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(1, 2, "yes"), (0, 3, "yes"), (-1, 2, "undecided"), (2, 4, "undecided"), (-1, 4, "undecided"),
     (3.1, 4, "no"), (-2, -1, "no"), (nan, nan, "undecided")],
)  # fmt: skip
def test_an_interval_in_outside_and_across_its_range(low, high, outcome):
    part = Part("it", "bound", "%", {}, accepted=(0.0, 3.0))
    assert decide(Summary(1.0, 1.0, low, high, 10), part) == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(1e-9, 1, "yes"), (0, 1, "undecided"), (-1, 0, "undecided"), (0, 0, "undecided"), (-1, -1e-9, "no")],
)
def test_an_ordering_holds_only_where_the_interval_excludes_zero(low, high, outcome):
    part = Part("it", "ordering", "points", {}, accepted=(0.0, inf))
    assert decide(Summary(0.5, 1.0, low, high, 10), part) == outcome


@pytest.mark.parametrize(
    ("mean", "sd", "verdict"),
    [
        (85.0, 1.0, "replicated"),
        (80.0, 1.0, "not replicated"),
        (88.0, 1.0, "undecided"),
        (85.0, 9.0, "undecided"),
    ],
)
def test_value(results, mean, sd, verdict):
    results.put(LIF, test_accuracy=(mean, sd))
    judged = results.part(
        rule="value", of=f"{LIF}/test_accuracy", paper={"value": 85.09, "spread": 1.57}, spreads=2
    )
    assert judged.verdict == verdict and judged.n == 10


@pytest.mark.parametrize(
    ("mean", "verdict"), [(20.0, "replicated"), (30.0, "not replicated"), (22.6, "undecided")]
)
def test_value_without_spread(results, mean, verdict):
    results.put(LIF, spikes_per_ms=(100 * mean, 100 * 0.5))
    path = f"{LIF}/spikes_per_ms"
    part = {"rule": "value", "of": path, "paper": {"value": 18.84}, "relative": 0.2, "unit": "spikes/ms"}
    assert results.part(**part).verdict == verdict


@pytest.mark.parametrize(
    ("mean", "verdict"), [(95.0, "replicated"), (89.0, "not replicated"), (90.1, "undecided")]
)
def test_bound(results, mean, verdict):
    results.put(LIF, test_accuracy=(mean, 1.0))
    assert results.part(rule="bound", of=f"{LIF}/test_accuracy", at_least=90).verdict == verdict


@pytest.mark.parametrize(
    ("mean", "verdict"), [(88.0, "replicated"), (82.0, "not replicated"), (85.2, "undecided")]
)
def test_ordering(results, mean, verdict):
    results.put(SB, test_accuracy=(mean, 1.0))
    part = {"rule": "ordering", "greater": f"{SB}/test_accuracy", "lesser": f"{LIF}/test_accuracy"}
    judged = results.part(**part, unit="points")
    assert judged.verdict == verdict
    assert judged.findings[0].measured.summary.mean == pytest.approx(mean - 85.09)


@pytest.mark.parametrize(
    ("basic", "verdict"), [(74.0, "replicated"), (84.0, "not replicated"), (77.8, "undecided")]
)
def test_difference(results, basic, verdict):
    results.put("accuracy/lif/basic", test_accuracy=(basic, 1.0))
    paths = {"greater": f"{LIF}/test_accuracy", "lesser": "accuracy/lif/basic/test_accuracy"}
    paper = {"greater": [85.09, 1.57], "lesser": [73.99, 1.16]}  # 11.10, two spreads are 3.90
    assert results.part(rule="difference", **paths, paper=paper, spreads=2).verdict == verdict


@pytest.mark.parametrize(
    ("rate", "verdict"), [(170.0, "replicated"), (400.0, "not replicated"), (255.0, "undecided")]
)
def test_ratio_over_seeds(results, rate, verdict):
    results.put(SB, spikes_per_ms=(100 * rate, 100 * 0.05 * rate))
    paths = {"greater": f"{SB}/spikes_per_ms", "lesser": f"{LIF}/spikes_per_ms"}
    paper = {"greater": [171.14], "lesser": [18.84]}  # 9.08, accepted 6.06 to 13.6
    assert results.part(rule="ratio", **paths, paper=paper, factor=1.5, unit="times").verdict == verdict


@pytest.mark.parametrize(
    ("slope", "noise", "verdict"),
    [
        (0.0, 0.1, "replicated"),
        (6.0, 0.1, "not replicated"),
        (0.0, 5.0, "undecided"),
        (2.1, 0.5, "undecided"),
    ],
)
def test_flat(results, slope, noise, verdict):
    for theta, rate in ((0.2, 60.0), (0.4, 120.0), (0.6, 240.0)):
        place = f"regularization/spsn-sb/regularized-{theta:.2f}"
        results.put(place, test_accuracy=(80 + slope * np.log2(rate / 60), noise), spikes_per_ms=rate)
    part = {
        "rule": "flat",
        "of": "regularization/spsn-sb/above-50/test_accuracy",
        "at_least": -2,
        "at_most": 2,
    }
    judged = results.part(**part)
    assert judged.verdict == verdict
    assert judged.findings[0].measured.summary.mean == pytest.approx(slope, abs=2.5 * noise)


@pytest.mark.parametrize(
    ("power", "verdict"), [(0.02, "replicated"), (0.5, "not replicated"), (None, "undecided")]
)
def test_growth(results, power, verdict):
    t = results.sequence_length
    chosen = (t.model == "spsn-sb") & (t.implementation == "paper")
    curve = 1 + (t.steps > 2000) * 1.0 if power is None else (t.steps / 100.0) ** power
    t.loc[chosen, "seconds"] = 0.005 * curve
    judged = results.part(
        rule="growth", of="sequence_length/spsn-sb/paper/seconds", at_least=-0.1, at_most=0.1
    )
    assert judged.verdict == verdict and judged.n == 7  # lengths, not repeats


def test_growth_needs_the_lengths_it_covers_for_a_yes(results):
    t = results.sequence_length
    results.sequence_length = t[t.steps <= 2000]
    part = {
        "rule": "growth",
        "of": "sequence_length/spsn-sb/paper/seconds",
        "at_most": 0.1,
        "covers": [100, 10000],
    }
    judged = results.part(**part)
    assert judged.verdict == "undecided" and "only for T = 100 to 2000" in judged.reason
    assert results.part(**part | {"at_most": -0.1}).verdict == "not replicated"


def test_growth_leaves_out_lengths_beyond_those_of_the_claim(results):
    t = results.sequence_length
    longer = t[t.steps == 10000].assign(steps=100_000)
    longer.seconds *= 1000
    results.sequence_length = pd.concat([t, longer])
    part = {"rule": "growth", "of": "sequence_length/spsn-sb/paper/seconds", "at_most": 0.1}
    assert results.part(**part).verdict != "replicated"
    judged = results.part(**part, up_to=10000)
    assert judged.verdict == "replicated" and judged.n == 7
    assert results.part(**part, up_to=50).verdict == "undecided"


@pytest.mark.parametrize(
    ("slower", "verdict"), [(1.0, "replicated"), (1.5, "not replicated"), (None, "undecided")]
)
def test_durations(results, slower, verdict):
    runs = results.runs
    chosen = (runs.experiment == "regularization") & (runs.model == "spsn-gs")
    runs.loc[chosen, "epoch_seconds"] *= slower or 1 + runs.rate_threshold[chosen]
    judged = results.part(rule="durations", of="spsn-gs", at_least=0.909, at_most=1.1)
    assert judged.verdict == verdict and judged.n == 8  # thresholds, not runs


@pytest.mark.parametrize(
    ("moved", "verdict"), [(30, "replicated"), (200, "not replicated"), (150, "undecided")]
)
def test_share(results, moved, verdict):
    t = results.test_set
    t["distinct_labels"] = np.where(t["sample"] < moved, 3, 1)
    judged = results.part(rule="share", of="spsn-sb", trials=10, at_least=50)
    assert judged.verdict == verdict and judged.n == 300
    t["trials"] = 3
    shorter = results.part(rule="share", of="spsn-sb", trials=10, at_least=50)
    assert shorter.verdict == ("undecided" if verdict == "replicated" else verdict)


def test_labels(results):
    part = {"rule": "labels", "of": "spsn-sb", "trials": 10, "at_most": 1, "unit": "labels"}
    assert results.part(**part).verdict == "replicated"
    t = results.trials
    t.loc[(t.model == "spsn-sb") & (t.trial == 7), "predicted"] = 3
    judged = results.part(**part)
    assert judged.verdict == "not replicated" and judged.findings[0].measured.summary.mean == 2
    results.trials = t[t.trial < 3]
    assert results.part(**part).verdict == "undecided"


def test_errors(results):
    part = {"rule": "errors", "of": "spsn-sb", "trials": 10, "at_most": 0, "unit": "trials"}
    judged = results.part(**part)
    assert (
        judged.verdict == "replicated" and judged.findings[0].measured.remark == "sample 0 of the test file"
    )
    t = results.trials
    t.loc[t.model == "spsn-sb", "predicted"] = 3  # one label in every trial, a wrong one
    judged = results.part(**part)
    assert judged.verdict == "not replicated" and judged.findings[0].measured.summary.mean == 10
    results.trials = t[t.trial < 3]
    assert results.part(**part).verdict == "not replicated"
    results.trials = t[t.trial < 3].assign(predicted=19)
    judged = results.part(**part)
    assert judged.verdict == "undecided" and "3 trials, not 10" in judged.reason


def test_networks_that_were_not_trained_alike_are_not_compared(results):
    config = to_mapping(results.settings)
    config["experiments"]["regularization"]["network"]["hidden_size"] = 64
    results.settings = from_mapping(config)
    sides = {"greater": "regularization/spsn-sb/all/test_accuracy", "lesser": f"{SB}/test_accuracy"}
    for rule in ("ordering", "difference", "ratio"):
        judged = results.part(rule=rule, **sides, at_least=0)
        assert judged.holds_here == "not tested"
        assert "the two were trained differently: hidden_size 64 and 128" in judged.reason
    within = {"greater": f"{SB}/test_accuracy", "lesser": f"{LIF}/test_accuracy"}
    assert results.part(rule="ordering", **within).holds_here == "yes"


def test_all_thresholds_bring_each_run_once(results):
    chosen = select_runs(results.evidence(), "regularization/spsn-sb/all/test_accuracy")
    assert len(chosen) == 80 and chosen.condition.nunique() == 8 and not chosen.index.has_duplicates


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(286.72, "replicated"), (100.0, "not replicated"), (200.0, "undecided")]
)
def test_ratio_of_single_measurements_counts_within_its_margin(results, seconds, verdict):
    t = results.epoch
    t.loc[(t.model == "lif") & (t.implementation == "paper"), "seconds_per_epoch"] = seconds
    paths = {
        "greater": "epoch/lif/paper/seconds_per_epoch",
        "lesser": "epoch/spsn-sb/paper/seconds_per_epoch",
    }
    judged = results.part(rule="ratio", **paths, at_least=6.67, margin=1.2)
    assert judged.verdict == verdict and judged.n == 1
    assert results.part(rule="ratio", **paths, at_least=6.67).verdict == "undecided"  # no margin, no interval


@pytest.mark.parametrize("side", ["lif", "spsn-sb"])
def test_one_measurement_beside_repeats_counts_within_its_margin_too(results, side):
    t = results.sequence_length
    results.sequence_length = t[(t.model != side) | (t.repeat == 0)]
    medians = results.sequence_length[results.sequence_length.steps == 10000]
    medians = medians[medians.implementation == "paper"].groupby("model").seconds.median()
    paths = {
        "greater": "sequence_length/lif/paper/seconds",
        "lesser": "sequence_length/spsn-sb/paper/seconds",
    }
    judged = results.part(rule="ratio", **paths, steps=10000, at_least=2000, margin=1.2)
    summary = judged.findings[0].measured.summary
    assert judged.verdict == "replicated" and summary.n == 1
    assert summary.mean == pytest.approx(medians["lif"] / medians["spsn-sb"])
    assert (summary.low, summary.high) == pytest.approx((summary.mean / 1.2, summary.mean * 1.2))


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "replicated"), (0.3, "not replicated"), (0.5, "undecided")]
)
def test_ratio_of_repeats(results, factor, verdict):
    t = results.sequence_length
    t.loc[t.model == "lif", "seconds"] *= factor
    paths = {
        "greater": "sequence_length/lif/paper/seconds",
        "lesser": "sequence_length/spsn-sb/paper/seconds",
    }
    judged = results.part(rule="ratio", **paths, steps=10000, at_least=2000)
    assert judged.verdict == verdict
    shuffled = t.assign(repeat=t.repeat.to_numpy()[::-1])  # repeats are no pairs: their numbers mean nothing
    results.sequence_length = shuffled
    assert results.part(rule="ratio", **paths, steps=10000, at_least=2000).findings == judged.findings
