"""What part II says: numbers of the equations from the settings, sentences chosen by the data."""

import re
from itertools import pairwise

import crafted_comparison as crafted
import crafted_results
import pandas as pd
import pytest

from spsn.methods import METHODS
from spsn.replication.compared import Compared, with_methods
from spsn.replication.facts.comparison_accuracy import accuracy_macros, reason
from spsn.replication.facts.comparison_cost import cost_macros
from spsn.replication.facts.comparison_pairs import pair_macros
from spsn.replication.facts.comparison_protocol import SURROGATES, protocol_macros, protocol_switches
from spsn.settings import from_mapping, to_mapping

PLAN = crafted_results.plan("paper")
RUNS = with_methods(crafted.runs(PLAN))
GUESS = 0.06
TEXT = crafted_results.TEX.with_name("comparison.tex").read_text()


def changed(**network):
    """The paper's settings with another network in the comparison."""
    config = to_mapping(PLAN)
    config["experiments"]["comparison"]["network"] |= network
    return from_mapping(config)


def accuracies(runs: pd.DataFrame = RUNS, guess: float = GUESS):
    return accuracy_macros(Compared(runs, crafted.costs(), guess))


# What the equations say -------------------------------------------------------------------------------------


def test_rest_and_growth_follow_from_the_settings():
    found = protocol_macros(PLAN, RUNS, longest=1.2)
    # lam = exp(-1/20) = 0.9512 and exp(-4/20) = 0.8187, theta = 1: worked out by hand.
    minus = r"\ensuremath{-}"
    assert found["ComparisonDecay"] == r"0.951 at 1\,ms and 0.819 at 4\,ms"
    assert found["ComparisonRest"] == rf"{minus}9.75 at 1\,ms and {minus}2.26 at 4\,ms"
    assert found["ComparisonRestCentred"] == rf"{minus}5.25 at 1\,ms and {minus}1.21 at 4\,ms"
    assert found["ComparisonGrowth"] == r"20.5 at 1\,ms and 5.5 at 4\,ms"
    assert found["ComparisonDecayFinal"] == r"0.998 at 1\,ms and 0.992 at 4\,ms"
    other = protocol_macros(changed(threshold=2.0, tau_mem=0.01), RUNS, longest=1.2)
    assert other["ComparisonRest"].startswith(rf"{minus}9.51 at 1\,ms")
    assert not protocol_switches(changed(threshold=2.0), RUNS)["comparisonunitthreshold"]


def test_the_protocol_is_counted_from_settings_and_runs():
    found = protocol_macros(PLAN, RUNS, longest=1.2)
    assert (found["ComparisonCount"], found["ComparisonRunCount"]) == ("25", "430")
    assert (found["ComparisonSeedCount"], found["ComparisonSteps"]) == ("10 seeds", r"1\,ms and 4\,ms")
    # 300 steps of 4 ms: 300 * 301 / 2 weights on and below the diagonal; no such method was trained on 1 ms.
    assert found["ComparisonSquareWeights"] == r"45\,150 (4\,ms)"
    assert protocol_switches(PLAN, RUNS)["comparisonsquare"]
    assert not protocol_switches(PLAN, RUNS[RUNS.model == "psu"])["comparisonsquare"]


def test_methods_that_were_not_trained_are_named():
    assert not protocol_switches(PLAN, RUNS)["comparisonabsent"]
    less = RUNS[~RUNS.model.isin(["saf-e", "rpsu"])]
    assert protocol_switches(PLAN, less)["comparisonabsent"]
    assert protocol_macros(PLAN, less, 1.2)["ComparisonAbsent"] == "RPSU, RPSU (centred) and SAF-E"


@pytest.mark.parametrize("kind", list(SURROGATES))
def test_every_surrogate_has_its_formula(kind):
    found = protocol_macros(changed(surrogate=kind), RUNS, 1.2)
    assert (
        found["ComparisonSurrogate"] == f"${SURROGATES[kind]}$" and found["ComparisonSurrogateName"] == kind
    )


# Accuracy ---------------------------------------------------------------------------------------------------


def test_what_learned_nothing_is_listed_with_a_reason():
    found, switches = accuracies()
    assert found["ComparisonFailed"] == (
        r"\item \emph{PSU} (1\,ms: 5.0\,\%, silent; 4\,ms: 5.0\,\%, silent). \whyrest{}"
    )
    assert (found["ComparisonFailedCount"], found["ComparisonCases"]) == ("2", "43")
    assert switches == {
        "comparisonfailed": True,
        "comparisonfailedsilent": True,
        "comparisonmostfailed": False,
    }


def test_where_all_learned_nothing_is_listed():
    found, switches = accuracies(RUNS[RUNS.method != "psu"])
    assert found["ComparisonFailed"] == "" and not any(switches.values())


def test_a_network_that_only_names_the_commonest_class_learned_nothing():
    always = RUNS.assign(test_hits=16, test_accuracy=0.08)
    assert accuracies(always, guess=0.05)[0]["ComparisonFailedCount"] == "0"
    found, switches = accuracies(always, guess=0.08)
    assert found["ComparisonFailedCount"] == "43" and switches["comparisonmostfailed"]
    assert r"\whyrest{} \whysquare{}" in found["ComparisonFailed"]


def test_every_method_has_a_reason_that_the_text_explains():
    explained = set(re.findall(r"\\newcommand\{\\(why\w+)\}", TEXT))
    assert {reason(name).lstrip("\\") for name in METHODS} | {"whysquare"} == explained


@pytest.mark.parametrize(
    "method, why",
    [
        ("psu", r"\whyrest"),
        ("rpsu-centred", r"\whycentred"),
        ("ipsu-code", r"\whyinput"),
        ("slayer-per-step", r"\whygrowth"),
        ("bptt-detached", r"\whygrowth"),
        ("saf-e", r"\whyinstant"),
        ("exodus-final", r"\whyfinal"),
        ("saf-f", r"\whyfinal"),
        ("exodus", r"\whyunknown"),
    ],
)
def test_reasons_are_those_of_the_equations(method, why):
    assert reason(method) == why


def test_the_highest_mean_is_named_with_what_is_not_told_from_it():
    found, _ = accuracies()
    first, second = found["ComparisonBest"].split(" At ")
    assert first.startswith(r"At 1\,ms, EXODUS reaches 74.8\,\% (74.3 to 75.4)") and "none" in first
    assert second.startswith(r"4\,ms, BPTT reaches")
    tied = pd.concat([RUNS, RUNS[RUNS.method == "bptt"].assign(method="slayer")])
    tied = tied[~((tied.method == "slayer") & (tied.model == "slayer"))]
    assert "not told apart from it: SLAYER." in accuracies(tied)[0]["ComparisonBest"]


def test_a_single_seed_tells_nothing_apart():
    found, _ = accuracies(RUNS[RUNS.seed == 0])
    assert "not told" not in found["ComparisonBest"] and "to" not in found["ComparisonBest"].split()


# Pairs ------------------------------------------------------------------------------------------------------


def test_controls_are_counted():
    found, switches = pair_macros(RUNS)
    counts = [int(found[f"Control{name}"]) for name in ("Identical", "Agree", "Differ")]
    assert sum(counts) == int(found["ControlCount"]) == 6 and counts[0] == 4
    assert found["ControlByChance"] == r"10\,\%"  # 1 - 0.95^2: two pairs differ at all
    assert switches["controls"] and switches["controlsknown"] and switches["contrastsknown"]
    assert found["ControlTable"].count(r"\\") >= 7


def test_a_pair_that_differs_is_named():
    runs = RUNS.copy()
    runs.loc[runs.method == "saf-e", "test_accuracy"] += 0.1
    found, switches = pair_macros(runs)
    assert r"SAF-E and OTTT (1\,ms)" in found["ControlDifferList"] and switches["controlsdiffer"]
    assert r"\textbf{no}" in found["ControlTable"]


def test_one_seed_has_no_interval_but_identity():
    found, switches = pair_macros(RUNS[RUNS.seed == 0])
    assert "no interval" in found["ControlTable"] and not switches["contrastsknown"]
    assert not switches["controlsdiffer"] and not switches["controlsagree"] and switches["controlsidentical"]


def test_without_pairs_nothing_is_said_of_them():
    _, switches = pair_macros(RUNS[RUNS.method == "lif"])
    assert not any(switches.values())


def test_contrasts_say_which_way():
    table = pair_macros(RUNS)[0]["ContrastTable"]
    (line,) = [
        text for text in table.splitlines() if r"PSU (centred) $-$ PSU & 1" in text and "RPSU" not in text
    ]
    assert line.endswith(r"higher \\")
    (line,) = [text for text in table.splitlines() if r"LIF (per step) $-$ LIF & 4" in text]
    assert line.endswith(r"lower \\")


# Cost -------------------------------------------------------------------------------------------------------


def test_the_fastest_at_the_longest_length_are_named_form_by_form():
    found, switches = cost_macros(crafted.costs())
    assert found["CostLongest"] == r"10\,000"
    fused, eager = found["CostFastest"].split("; ")
    assert fused.startswith("among the fused forms LIF (")
    assert eager.startswith("among the eager forms SPSN-SB (")
    costs = (
        crafted.costs().query("steps == 10000 and implementation == 'fused'").sort_values("seconds_median")
    )
    assert f"{costs.seconds_median.iloc[0]:.3g}" in fused
    assert switches["costs"] and switches["costgaps"] and switches["costmemory"]


def test_overlapping_quartiles_are_told():
    apart = crafted.costs().assign(
        seconds_q1=lambda t: t.seconds_median, seconds_q3=lambda t: t.seconds_median
    )
    assert "overlap" not in cost_macros(apart)[0]["CostFastest"]
    assert "overlap" in cost_macros(crafted.costs())[0]["CostFastest"]


def test_what_is_missing_at_the_longest_length_is_told_by_reason():
    gaps = cost_macros(crafted.costs())[0]["CostGaps"]
    assert "eager forms out of memory: RPSU" in gaps and "eager forms too slow: LIF, BPTT" in gaps
    found, switches = cost_macros(crafted.costs(limit=1e9, memory=1e15))
    assert not switches["costgaps"] and found["CostGaps"] == "--"


def test_memory_that_does_not_grow_is_told_from_memory_that_does():
    found, switches = cost_macros(crafted.costs(limit=1e9, memory=1e15))
    assert switches["costflat"] and switches["costsquare"]
    assert found["CostMemoryFlat"] == "OTTT (eager), SAF-E (eager) and SAF-F (eager)"
    square = float(found["CostMemorySquare"])
    rest = [float(text) for text in found["CostMemoryRest"].split(" to ")]
    assert square > 1.2 > max(rest) and all(one <= other for one, other in pairwise(rest))


@pytest.mark.parametrize(
    "costs", [crafted.costs(limit=1e-9), crafted.costs(lengths=(10_000,))], ids=["nothing", "one length"]
)
def test_what_was_not_measured_is_not_concluded_from(costs):
    found, switches = cost_macros(costs)
    assert not switches["costmemory"] and not switches["costflat"] and not switches["costsquare"]
    assert switches["costs"] == (costs.status == "measured").any()
    assert found["CostMemoryRest"] == "--" and "nan" not in "".join(found.values())


def test_memory_that_cannot_be_told_is_a_dash():
    found, switches = cost_macros(crafted.costs().assign(peak_bytes=float("nan")))
    assert not switches["costmemory"] and switches["costs"]
    assert "nan" not in "".join(found.values())
