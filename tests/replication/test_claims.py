"""Claims: every claim of the paper is there, every rule reaches every verdict, and no number slips in unseen."""

import re
from dataclasses import asdict
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from spsn.errors import RecordError
from spsn.replication.claim_parts import RULE_KEYS, ClaimsError, Part, read_claims
from spsn.replication.claims import COLUMNS, judge, write_claims
from spsn.replication.measures import MEASURES
from spsn.replication.rules import decide
from spsn.replication.statistics import Summary
from spsn.replication.tables import read_reported
from spsn.settings import from_mapping, to_mapping

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = ROOT / "paper" / "claims.yaml"
IDS = [
    "loss-mode", "train-100", "augmentation-gain", "test-above-train", "non-spiking-lowest", "spsn-above-lif",
    "epoch-time", "ten-times-faster", "spike-rate", "rate-floor", "gs-at-25", "regularization-free",
    "best-regularized", "table-2", "near-state-of-the-art", "constant-in-length", "four-thousand", "same-label",
    "sb-vs-gs",
]  # fmt: skip
LIF, SB = "accuracy/lif/augmented", "accuracy/spsn-sb/augmented"
TIMES = {"epoch-time", "ten-times-faster", "regularization-free", "constant-in-length", "four-thousand"}


# The claims file ---


def test_every_claim_of_the_paper_is_there_exactly_once():
    claims = read_claims(CLAIMS)
    assert [claim.id for claim in claims] == IDS
    assert all(claim.statement and claim.section for claim in claims)


def test_every_rule_is_known_and_used():
    used = {part.rule for claim in read_claims(CLAIMS) for part in claim.parts}
    assert used == set(RULE_KEYS) == set(MEASURES)


def test_claims_and_reported_numbers_agree():
    reported = read_reported(ROOT / "paper" / "reported.csv")
    seen = 0
    for claim in yaml.safe_load(CLAIMS.read_text())["claims"]:
        for part in claim["parts"]:
            numbers = part.get("paper", {})
            sides = [(part.get(k), numbers.get(k)) for k in ("greater", "lesser") if k in numbers]
            if "value" in numbers and "of" in part:
                sides = [(part["of"], list(numbers.values()))]
            for path, (value, *spread) in sides:
                row = reported_row(reported, path)
                if row is not None:
                    seen += 1
                    assert value == row.value, (claim["id"], path)
                    assert not spread or spread[0] == row.spread, (claim["id"], path)
    assert seen > 50


def reported_row(reported, path):
    """The line of reported.csv that a path of the claims file points to, or None."""
    if path.count("/") != 3:
        return None
    experiment, model, condition, column = path.split("/")
    if experiment == "epoch":
        column, condition = "epoch_seconds", "augmented"
    condition = "regularized" if experiment == "regularization" else condition
    rows = reported[
        (reported.quantity == column) & (reported.model == model) & (reported.condition == condition)
    ]
    return rows.iloc[0] if len(rows) else None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ruel": "value"}, "unknown key 'ruel'; did you mean 'rule'"),
        ({"rule": "oredring"}, "unknown rule 'oredring'; did you mean 'ordering'"),
        ({"of": None}, "lacks of"),
        ({"unit": None}, "lacks unit"),
        ({"spreads": None}, "needs a range"),
        ({"relative": 0.1}, "needs a range"),
        ({"paper": {"value": 1}}, "needs a range"),
        ({"paper": {"valeu": 1}}, "unknown key 'valeu'; did you mean 'value'"),
        ({"paper": {"greater": [1]}}, "lacks lesser"),
    ],
)
def test_a_faulty_part_is_named(tmp_path, change, message):
    part = {"label": "it", "rule": "value", "unit": "%", "of": f"{LIF}/test_accuracy", "spreads": 2}
    part |= {"paper": {"value": 80, "spread": 1}} | change
    part = {key: value for key, value in part.items() if value is not None}
    with pytest.raises(ClaimsError, match=re.escape(message)) as caught:
        read_claims(claims_file(tmp_path, [part]))
    assert "claims.yaml: claim 1 (made-up), part 1" in str(caught.value)


def test_a_faulty_file_is_named(tmp_path):
    good = {"label": "it", "rule": "value", "unit": "%", "of": "x", "paper": {"value": 1}, "relative": 1}
    with pytest.raises(ClaimsError, match="did you mean 'statement'"):
        read_claims(claims_file(tmp_path, [good], statment=""))
    with pytest.raises(ClaimsError, match="at least one part"):
        read_claims(claims_file(tmp_path, []))
    for text, message in (("claims: [", "cannot be read"), ("[]", "one key, 'claims'")):
        (tmp_path / "claims.yaml").write_text(text)
        with pytest.raises(ClaimsError, match=message):
            read_claims(tmp_path / "claims.yaml")
    with pytest.raises(ClaimsError, match="cannot be read"):
        read_claims(tmp_path / "absent.yaml")
    path = claims_file(tmp_path, [good])
    both = yaml.safe_load(path.read_text())["claims"] * 2
    path.write_text(yaml.safe_dump({"claims": both}))
    with pytest.raises(ClaimsError, match="more than one claim is called made-up"):
        read_claims(path)


def claims_file(folder, parts, **changes):
    entry = {"id": "made-up", "statement": "made up", "section": "none", "parts": parts} | changes
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [entry]}))
    return path


# The decision ---


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(1, 2, "yes"), (0, 3, "yes"), (-1, 2, "undecided"), (2, 4, "undecided"), (-1, 4, "undecided"),
     (3.1, 4, "no"), (-2, -1, "no"), (nan, nan, "undecided")],
)  # fmt: skip
def test_an_interval_in_outside_and_across_its_range(low, high, outcome):
    part = Part("it", "bound", "%", {}, accepted=(0.0, 3.0))
    assert decide(Summary(1.0, 1.0, low, high, 10), part) == outcome


@pytest.mark.parametrize(("low", "high", "outcome"), [(1e-9, 1, "yes"), (0, 1, "undecided"), (-1, 0, "undecided"),
                                                      (0, 0, "undecided"), (-1, -1e-9, "no")])  # fmt: skip
def test_an_ordering_holds_only_where_the_interval_excludes_zero(low, high, outcome):
    part = Part("it", "ordering", "points", {}, accepted=(0.0, inf))
    assert decide(Summary(0.5, 1.0, low, high, 10), part) == outcome


# Rules, each with every verdict ---


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


# What a configuration leaves out, and where a verdict is not to be had ---


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (
            {"rule": "bound", "of": "regularization/lif/all/test_accuracy"},
            "lif is not trained in regularization",
        ),
        ({"rule": "bound", "of": "accuracy/lif/noisy/test_accuracy"}, "not trained in condition noisy"),
        ({"rule": "bound", "of": "accuracy/non-spiking/basic/spikes_per_ms"}, "gives no spikes_per_ms"),
        ({"rule": "bound", "of": "regularization/spsn-sb/above-900/test_accuracy"}, "a rate above 900"),
        ({"rule": "bound", "of": "regularization/spsn-sb/nearest-900/test_accuracy"}, "near 900 spikes/ms"),
        ({"rule": "flat", "of": "regularization/spsn-sb/above-140/test_accuracy"}, "only one threshold"),
        ({"rule": "labels", "of": "lif", "trials": 10}, "no trials of lif"),
        (
            {"rule": "growth", "of": "sequence_length/lif/fused/seconds"},
            r"lif \(fused\) is not among the timings",
        ),
    ],
)
def test_what_is_left_out_is_not_tested_and_said(results, part, reason):
    judged = results.part(**part, at_least=1)
    assert (judged.verdict, judged.holds_here, judged.n) == ("undecided", "not tested", None)
    assert re.search(reason, judged.reason)


def test_too_slow_is_said(results):
    t = results.sequence_length
    slow = (t.model == "lif") & (t.steps == 10000)
    t.loc[slow, "status"] = "too-slow"
    t.loc[slow, ["seconds", "seconds_unsynchronised"]] = np.nan
    judged = results.judge("four-thousand")["four-thousand"]
    assert (judged.verdict, judged.holds_here) == ("undecided", "not tested")
    assert "lif (paper) at 10000 steps: too slow" in judged.reason


def test_a_threshold_that_is_not_trained_leaves_its_claims_open(results):
    config = to_mapping(results.settings)
    config["experiments"]["regularization"]["thresholds"] = [0.03, 0.1]
    results.settings = from_mapping(config)
    results.runs = results.runs[
        ~(results.runs.rate_threshold > 0.1) & ~results.runs.rate_threshold.isin([0.01, 0.06, 0.08])
    ]
    judged = results.judge()
    assert judged["rate-floor"].holds_here == "not tested" and "above 50" in judged["rate-floor"].reason
    assert judged["best-regularized"].verdict == "undecided"
    assert "spsn-sb is not trained with the paper's threshold" in judged["best-regularized"].reason


def test_rates_choose_thresholds_and_accuracies_do_not(results):
    results.put("regularization/spsn-gs/regularized-0.20", test_accuracy=(99.0, 0.1))
    judged = results.part(rule="ordering", greater="regularization/spsn-gs/nearest-25/test_accuracy",
                          lesser=f"{LIF}/test_accuracy", similar_rate=True)  # fmt: skip
    assert judged.findings[0].measured.remark == "threshold 0.06: 23 spikes/ms"
    results.put(LIF, spikes_per_ms=3.0)
    judged = results.judge("gs-at-25")["gs-at-25"]
    assert "rates are not alike: 23 and 3" in judged.reason and judged.verdict == "undecided"


def test_low_rates_compare_the_thresholds_that_both_have_there(results):
    results.put("regularization/spsn-gs/regularized-0.06", spikes_per_ms=30.0)
    part = {"rule": "ordering", "greater": "regularization/spsn-gs/below-25/test_accuracy"}
    part |= {"lesser": "regularization/spsn-sb/below-25/test_accuracy", "same_conditions": True}
    measured = results.part(**part).findings[0].measured
    assert measured.summary.mean == pytest.approx(np.mean([70, 80]) - np.mean([60, 72]))


def test_networks_that_the_paper_does_not_tell_apart_must_agree(results):
    assert results.judge("loss-mode")["loss-mode"].verdict == "replicated"
    results.put("loss_mode/lif/loss-max", test_accuracy=(70.0, 1.0))
    mixed = results.judge("loss-mode")["loss-mode"]
    assert mixed.verdict == "undecided" and "Does not hold: LIF, mean over max." in mixed.reason
    for model in ("spsn-sb", "spsn-gs"):
        results.put(f"loss_mode/{model}/loss-last", test_accuracy=(70.0, 1.0))
    assert results.judge("loss-mode")["loss-mode"].verdict == "not replicated"


def test_one_part_against_it_is_a_claim_not_replicated(results):
    results.put("accuracy/non-spiking/basic", train_accuracy=(93.8, 0.5))
    judged = results.judge("train-100")["train-100"]
    assert judged.verdict == "not replicated" and "Does not hold: non-spiking, basic." in judged.reason


def test_the_papers_own_numbers_pass_except_where_its_spreads_leave_them_open(results):
    judged = results.judge()
    open_there = {"spsn-above-lif", "near-state-of-the-art", "sb-vs-gs"}
    for name, j in judged.items():
        expected = "undecided" if name in open_there else "replicated"
        assert j.verdict == ("not comparable" if name == "epoch-time" else expected), (name, j.reason)
    shown = {f.part.label: f for f in judged["four-thousand"].findings if not f.part.judged}
    assert shown["LIF (unbind) over SPSN-SB"].measured.summary.mean == pytest.approx(800, rel=0.01)
    assert "LIF over SPSN-SB, both fused" not in shown  # was not measured, is not listed


def test_a_constant_network_is_no_evidence_from_two_seeds(results):
    config = to_mapping(results.settings)
    for name in ("accuracy", "regularization", "loss_mode"):
        config["experiments"][name]["seeds"] = 2
    results.settings = from_mapping(config)
    results.runs = results.runs[results.runs.seed < 2]
    judged = results.judge("train-100")["train-100"]
    assert judged.verdict == "undecided" and "no interval from 2 equal values" in judged.reason


def test_on_other_data_no_claim_has_a_verdict_but_holds_or_not(results):
    config = to_mapping(results.settings)
    config["dataset"] = {"train": "a.h5", "test": "b.h5", "name": "digits"}
    results.settings = from_mapping(config)
    results.runs["dataset"] = "digits"
    results.put("accuracy/lif/augmented", test_accuracy=(70.0, 1.0))
    judged = results.judge()
    assert {j.verdict for j in judged.values()} == {"not comparable"}
    assert all("the data are digits, not SHD" in j.reason for j in judged.values())
    assert judged["augmentation-gain"].holds_here == "no"
    assert judged["test-above-train"].holds_here == "no"
    assert judged["loss-mode"].holds_here == judged["four-thousand"].holds_here == "yes"
    assert judged["table-2"].holds_here == judged["near-state-of-the-art"].holds_here == "not tested"
    assert judged["spike-rate"].holds_here == "yes"  # its ratios; the rates themselves are SHD's


def test_a_part_of_shd_is_not_shd(results):
    config = to_mapping(results.settings)
    config["limit"]["train"] = 100
    results.settings = from_mapping(config)
    assert all("a part of SHD" in j.reason for j in results.judge().values())


def test_other_training_forbids_verdicts_on_what_was_trained_so(results):
    config = to_mapping(results.settings)
    config["experiments"]["regularization"]["training"]["epochs"] = 20
    results.settings = from_mapping(config)
    judged = results.judge()
    touched = {name for name, j in judged.items() if "epochs 20 instead of 200" in j.reason}
    assert touched == {"rate-floor", "gs-at-25", "regularization-free", "best-regularized", "table-2",
                       "near-state-of-the-art", "sb-vs-gs"}  # fmt: skip
    assert {judged[name].verdict for name in touched} == {"not comparable"}
    assert judged["augmentation-gain"].verdict == "replicated"


def test_times_of_a_cpu_are_shown_and_not_judged(results):
    for table in (results.runs, results.epoch, results.sequence_length):
        table["device"] = "cpu"
    judged = results.judge()
    for name, j in judged.items():
        if name in TIMES:
            assert (j.verdict, j.holds_here) == ("not comparable", "not tested")
            assert any(f.measured for f in j.findings)
        else:
            assert j.verdict != "not comparable"
    assert "timed on a CPU" in judged["ten-times-faster"].reason


def test_absolute_seconds_are_never_judged(results):
    results.epoch["seconds_per_epoch"] *= 100
    judged = results.judge()
    assert (
        judged["epoch-time"].verdict == "not comparable"
        and judged["ten-times-faster"].verdict == "replicated"
    )


# The files ---


def test_how_long_it_took_reaches_only_the_claims_about_time(results):
    before = results.judge()
    results.runs[["epoch_seconds", "test_seconds", "peak_bytes", "threads"]] = 7.0
    results.epoch["seconds_per_epoch"] *= 1.5
    results.sequence_length[["seconds", "seconds_unsynchronised"]] *= 1.3
    after = results.judge()
    same = {name for name in IDS if before[name] == after[name]}
    assert same >= set(IDS) - TIMES and "epoch-time" not in same


def test_the_order_of_the_lines_does_not_matter(results):
    before = judge(results.write(), CLAIMS, results.settings)
    for name in ("runs", "epoch", "sequence_length", "trials", "test_set"):
        setattr(results, name, getattr(results, name).sample(frac=1, random_state=1))
    after = judge(results.write(), CLAIMS, results.settings)
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize(
    "name",
    [
        "tables/runs.csv",
        "timing/epoch.csv",
        "timing/sequence_length.csv",
        "robustness/trials.csv",
        "robustness/test_set.csv",
    ],
)
def test_a_missing_file_is_an_error(results, name):
    folder = results.write()
    (folder / f"{name}.csv").unlink()
    with pytest.raises(RecordError, match=f"{name}.csv: is missing"):
        judge(folder, CLAIMS, results.settings)


def test_half_a_grid_is_an_error(results):
    runs = results.runs
    results.runs = runs[~((runs.seed == 3) & (runs.condition == "basic") & (runs.model == "lif"))]
    with pytest.raises(RecordError, match=r"lacks 1 runs of the configuration \(accuracy/lif/basic/3\)"):
        judge(results.write(), CLAIMS, results.settings)
    results.runs = runs.assign(dataset="other")
    with pytest.raises(RecordError, match="its runs are of other"):
        judge(results.write(), CLAIMS, results.settings)


def test_the_table_lists_every_part_with_its_interval_and_n(results):
    write_claims(results.write(), CLAIMS, results.settings)
    table = pd.read_csv(results.folder / "tables" / "claims.csv")
    assert tuple(table) == COLUMNS and list(table.id) == IDS
    row = table.set_index("id").loc["table-2"]
    assert row.ours.count("; ") == 9 and row.ours.count("n = 10") == 10 and row.n == 10
    assert "SPSN-SB, augmented: 86.89 (86.38 to 87.40) %, n = 10" in row.ours
    assert "SPSN-SB, augmented: 86.89 ± 0.71 %, accepted 85.47 to 88.31 %" in row.paper
    assert "regularized: at most 3.5 below 92.4" in table.set_index("id").loc["near-state-of-the-art"].ours


def test_the_latex_table_is_escaped_and_whole(results):
    write_claims(results.write(), CLAIMS, results.settings)
    tex = (results.folder / "tables" / "claims.tex").read_text()
    assert tex.count(r"\begin{longtable}") == tex.count(r"\end{longtable}") == 2
    assert all(tex.count(rf"\textbf{{{name}}}") == 1 for name in IDS)
    plain = re.sub(r"\\[&%_#$]", "", tex)
    assert not re.search("[$#±≥≤−]", plain) and r"\ensuremath{\pm}" in tex
    for line in plain.splitlines():
        if line.endswith(("\\\\", "\\\\*")) and "multicolumn" not in line:
            assert line.count("&") in (4, 6), line
        assert "%" not in line and "_" not in line.replace(r"\_", ""), line


def test_statement_and_note_in_the_repositorys_file_are_plain_text():
    for claim in read_claims(CLAIMS):
        for text in (claim.statement, claim.section, claim.note, *(p.label for p in claim.parts)):
            assert text.isascii() and "\n" not in text
        assert all(asdict(part)["unit"] for part in claim.parts)
