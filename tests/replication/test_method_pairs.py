"""Pairs of methods: differences seed by seed, and what their intervals say."""

import crafted_comparison as crafted
import crafted_results
import numpy as np
import pandas as pd
import pytest

from spsn.methods import CONTROLS, METHODS
from spsn.replication.compared import with_methods
from spsn.replication.method_pairs import (
    AGREES,
    CONTRASTS,
    HIGHER,
    IDENTICAL,
    LOWER,
    UNKNOWN,
    contrast_pairs,
    control_pairs,
    pairs,
)
from spsn.replication.statistics import summarize

PLAN = crafted_results.plan("paper")


def made(one, other, rates=(10.0, 10.0)) -> pd.DataFrame:
    """Runs of EXODUS and BPTT on one time step with these accuracies by seed."""
    lines = [
        {"model": model, "condition": "4ms", "time_step": 0.004, "seed": seed, "test_accuracy": accuracy}
        | {"spikes_per_ms": rate}
        for model, accuracies, rate in (("exodus", one, rates[0]), ("bptt", other, rates[1]))
        for seed, accuracy in enumerate(accuracies)
    ]
    return with_methods(pd.DataFrame(lines))


def test_differences_are_paired_by_seed_in_points_and_per_cent():
    runs = with_methods(crafted.runs(PLAN))
    (pair,) = [p for p in control_pairs(runs) if (p.one, p.time_step) == ("exodus", 0.004)]
    sides = [
        runs[(runs.method == name) & (runs.time_step == 0.004)].set_index("seed")
        for name in ("exodus", "bptt")
    ]
    points = 100 * (sides[0].test_accuracy - sides[1].test_accuracy)
    rates = 100 * (sides[0].spikes_per_ms - sides[1].spikes_per_ms) / sides[1].spikes_per_ms.mean()
    assert pair.differences == pytest.approx(np.transpose([points, rates]))
    for found, wanted in ((pair.accuracy, summarize(points)), (pair.rate, summarize(rates))):
        assert [found.mean, found.low, found.high] == pytest.approx([wanted.mean, wanted.low, wanted.high])


@pytest.mark.parametrize(
    "one, other, said",
    [
        ([0.5, 0.6, 0.7], [0.6, 0.5, 0.7], AGREES),
        ([0.8, 0.81, 0.82], [0.5, 0.52, 0.51], HIGHER),
        ([0.5, 0.52, 0.51], [0.8, 0.81, 0.82], LOWER),
        ([0.5], [0.6], UNKNOWN),
        ([0.5, 0.6], [0.5, 0.6], IDENTICAL),
        ([0.5], [0.5], IDENTICAL),
    ],
)
def test_what_an_interval_says(one, other, said):
    (pair,) = pairs(made(one, other), CONTROLS)
    assert pair.verdict == said


def test_equal_accuracies_with_other_rates_are_not_identical():
    (pair,) = pairs(made([0.5, 0.6], [0.5, 0.6], rates=(10.0, 11.0)), CONTROLS)
    assert not pair.identical and pair.verdict == UNKNOWN
    assert pair.rate.mean == pytest.approx(-100 / 11)


def test_silent_networks_have_no_difference_in_per_cent():
    (pair,) = pairs(made([0.5, 0.6], [0.4, 0.7], rates=(1.0, 0.0)), CONTROLS)
    assert np.isnan(pair.differences[:, 1]).all() and not pair.rate.known and pair.rate.n == 0


def test_only_shared_seeds_count():
    (pair,) = pairs(made([0.5, 0.6, 0.9], [0.4, 0.5]), CONTROLS)
    assert len(pair.differences) == pair.accuracy.n == 2


def test_pairs_of_which_a_side_is_missing_are_left_out():
    runs = crafted.runs(PLAN)
    found = {(p.one, p.time_step) for p in control_pairs(with_methods(runs[runs.model != "ottt"]))}
    # BPTT was trained on 4 ms alone.
    assert found == {("exodus", 0.004), ("slayer", 0.004), ("saf-f", 0.001), ("saf-f", 0.004)}
    assert control_pairs(with_methods(runs[runs.model == "lif"])) == []


def test_contrasts_name_methods_and_differ_in_model_variant_or_objective():
    for contrast in CONTRASTS:
        assert contrast.one != contrast.other and {contrast.one, contrast.other} <= set(METHODS)
    controls = {frozenset(pair) for pair in CONTROLS}
    assert not controls & {frozenset((c.one, c.other)) for c in CONTRASTS}


def test_contrasts_change_the_objective_only_where_they_say_so():
    for contrast in CONTRASTS:
        objectives = {METHODS[name].objective for name in (contrast.one, contrast.other)}
        assert (len(objectives) == 1) == ("not on the mean" not in contrast.about)


def test_contrasts_are_found_on_every_time_step():
    found = {(c.one, p.time_step) for c, p in contrast_pairs(with_methods(crafted.runs(PLAN)))}
    assert {("psu-centred", 0.001), ("psu-centred", 0.004), ("rpsu-centred", 0.004)} <= found
    assert ("rpsu-centred", 0.001) not in found
