"""Figure 1's three neurons against their own equations."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spsn.illustration import COLUMNS, EPISODES, WEIGHT, illustrate
from spsn.settings import NetworkSettings

NETWORK = NetworkSettings(3, 128, tau_mem=0.02, tau_syn=0.01, threshold=1.0, time_step=0.001)
STEPS = round(sum(seconds for seconds, _ in EPISODES) / 0.001)
SPIKING = ("lif", "spsn-sb", "spsn-gs")


def traces(network: NetworkSettings = NETWORK, **options) -> dict[str, dict[str, np.ndarray]]:
    """Each model's columns as arrays."""
    rows = illustrate(network, **options)
    return {
        model: {c: np.array([row[c] for row in rows if row["model"] == model]) for c in COLUMNS[1:]}
        for model in dict.fromkeys(row["model"] for row in rows)
    }


def currents(drive: np.ndarray, network: NetworkSettings = NETWORK) -> tuple[list[float], float]:
    """The synaptic current of equation 5, and beta."""
    alpha, beta = (math.exp(-0.001 / tau) for tau in (network.tau_syn, network.tau_mem))
    current, out = 0.0, []
    for x in drive:
        current = alpha * current + x
        out.append(current)
    return out, beta


def test_rows_are_three_neurons_over_the_same_time():
    shown = traces()
    assert tuple(shown) == SPIKING
    assert all(tuple(row) == COLUMNS for row in illustrate(NETWORK))
    for trace in shown.values():
        assert trace["time_ms"] == pytest.approx(np.arange(STEPS))
        assert set(trace["spike"]) <= {0, 1}


def test_all_three_get_the_same_input_rare_then_frequent_then_none():
    shown = traces()
    drive = shown["lif"]["input"]
    assert all(np.array_equal(trace["input"], drive) for trace in shown.values())
    assert set(drive) == {0.0, WEIGHT}
    ends = np.cumsum([round(seconds / 0.001) for seconds, _ in EPISODES])
    rare, frequent, none, _ = np.split(drive > 0, ends)
    assert 0 < rare.mean() < frequent.mean() and not none.any() and len(none) > 0


def test_input_spikes_are_as_frequent_as_they_should_be():
    """Over 60 seeds, within five standard errors of rate times duration."""
    counts = np.array([traces(seed=seed)["lif"]["input"] > 0 for seed in range(60)])
    chance = np.concatenate([np.full(round(s / 0.001), rate * 0.001) for s, rate in EPISODES])
    error = math.sqrt(60 * (chance * (1 - chance)).sum())
    assert abs(counts.sum() - 60 * chance.sum()) < 5 * error


def test_the_potential_of_spsn_is_the_recurrence():
    shown = traces()
    current, beta = currents(shown["spsn-sb"]["input"])
    potential, expected = 0.0, []
    for i in current:
        potential = beta * potential + (1 - beta) * i
        expected.append(potential)
    for model in ("spsn-sb", "spsn-gs"):
        assert shown[model]["membrane_potential"] == pytest.approx(expected, abs=1e-12)
    assert shown["spsn-sb"]["membrane_potential"].max() > NETWORK.threshold  # nothing resets it


def test_spsn_fires_by_the_sigmoid_of_its_potential():
    """P(s = 1) is sigma(u) for SB and sigma(2u) for GS; over 40 seeds, within five standard errors."""
    shown = [traces(seed=seed) for seed in range(40)]
    for model, slope in (("spsn-sb", 1.0), ("spsn-gs", 2.0)):
        u = np.concatenate([trace[model]["membrane_potential"] for trace in shown])
        s = np.concatenate([trace[model]["spike"] for trace in shown])
        chance = 1 / (1 + np.exp(-slope * u))
        for part in (u < 0.2, u > 0.5):
            assert part.sum() > 500
            error = math.sqrt((chance[part] * (1 - chance[part])).sum())
            assert abs(s[part].sum() - chance[part].sum()) < 5 * error


def test_the_two_spsn_neurons_draw_apart():
    shown = traces()
    assert not np.array_equal(shown["spsn-sb"]["spike"], shown["spsn-gs"]["spike"])


def test_lif_fires_if_and_only_if_it_is_above_the_threshold_and_starts_again_from_zero():
    lif = traces()["lif"]
    u, fired = lif["membrane_potential"], lif["spike"] == 1
    assert 2 <= fired.sum() < STEPS / 2
    assert np.array_equal(fired, u > NETWORK.threshold)
    current, beta = currents(lif["input"])
    left = np.concatenate([[0.0], np.where(fired, 0.0, u)[:-1]])
    assert u == pytest.approx(beta * left + (1 - beta) * np.array(current), abs=1e-12)
    after = 1 + np.flatnonzero(fired[:-1])
    assert (u[after] < NETWORK.threshold).all()  # here one step's current alone does not reach it


def test_the_papers_reset_silences_the_step_after_a_spike():
    lif = traces(replace(NETWORK, lif_reset="paper"))["lif"]
    after = 1 + np.flatnonzero(lif["spike"][:-1])
    assert len(after) >= 2 and not lif["membrane_potential"][after].any()


def test_a_higher_threshold_makes_fewer_spikes_of_lif_and_changes_nothing_of_spsn():
    low, high = traces(), traces(replace(NETWORK, threshold=2.0))
    assert high["lif"]["spike"].sum() < low["lif"]["spike"].sum()
    for model in ("spsn-sb", "spsn-gs"):
        assert all(np.array_equal(low[model][c], high[model][c]) for c in COLUMNS[1:])


def test_equal_seeds_give_equal_rows_and_others_do_not():
    assert illustrate(NETWORK) == illustrate(NETWORK)
    assert illustrate(NETWORK) != illustrate(NETWORK, seed=1)
