"""From tables to verdicts: what is left out, what forbids a verdict, and the files that the report takes."""

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spsn.errors import RecordError
from spsn.replication.claim_parts import read_claims
from spsn.replication.claims import COLUMNS, judge, to_frame, write_claims
from spsn.replication.claims_tex import to_tex
from spsn.replication.facts.claims import claims_macros
from spsn.settings import from_mapping, to_mapping

CLAIMS = Path(__file__).resolve().parents[2] / "paper" / "claims.yaml"
IDS = [claim.id for claim in read_claims(CLAIMS)]
LIF = "accuracy/lif/augmented"
TIMES = {"epoch-time", "ten-times-faster", "regularization-free", "constant-in-length", "four-thousand"}


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
    assert "rates are not similar: 23 and 3" in judged.reason and judged.verdict == "undecided"


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
    open_there = {"spsn-above-lif", "sb-vs-gs"}
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
    assert judged["table-2"].holds_here == judged["near-state-of-the-art"].holds_here == "no say here"
    assert judged["epoch-time"].holds_here == "no say here"  # seconds, shown alone
    assert judged["spike-rate"].holds_here == "yes"  # its ratios; the rates are shown alone


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
    for name, other in (("gs-at-25", "over LIF"), ("best-regularized", "SPSN-SB, with over without")):
        part = next(f for f in judged[name].findings if f.part.label == other)
        assert (part.outcome, part.measured) == ("not tested", None)
        assert "the two were trained differently: epochs 20 and 200" in judged[name].reason
    assert judged["rate-floor"].holds_here == "yes"  # both sides are of one experiment


def test_an_epoch_of_another_network_or_batch_is_not_the_papers(results):
    config = to_mapping(results.settings)
    config["experiments"]["accuracy"]["training"]["batch_size"] = 16
    results.settings = from_mapping(config)
    judged = results.judge("ten-times-faster", "four-thousand")
    faster = judged["ten-times-faster"]
    assert (faster.verdict, faster.holds_here) == ("not comparable", "yes")
    assert "not timed by the full protocol: accuracy.training.batch_size 16 instead of 64" in faster.reason
    assert judged["four-thousand"].verdict == "replicated"


@pytest.mark.parametrize("size", ["batch_size", "inputs", "neurons"])
def test_a_layer_of_another_size_is_not_that_of_figure_5(results, size):
    config = to_mapping(results.settings)
    config["experiments"]["timing"]["sequence_length"][size] = 8
    results.settings = from_mapping(config)
    judged = results.judge("ten-times-faster", "constant-in-length", "four-thousand")
    for name in ("constant-in-length", "four-thousand"):
        assert judged[name].verdict == "not comparable" and judged[name].holds_here == "yes"
        assert f"timing.sequence_length.{size} 8 instead of" in judged[name].reason
    assert judged["ten-times-faster"].verdict == "replicated"


def test_no_say_and_not_measured_are_counted_apart(results):
    for table in (results.runs, results.epoch, results.sequence_length):
        table["device"] = "cpu"
    t = results.sequence_length
    t.loc[(t.model == "lif") & (t.steps == 10000), "status"] = "too-slow"
    judged = results.judge()
    assert judged["four-thousand"].holds_here == "not tested"
    assert judged["ten-times-faster"].holds_here == "no say here"
    macros = claims_macros(to_frame(judged.values()))
    assert (macros["ClaimsNoSayHere"], macros["ClaimsHereNotTested"]) == (str(len(TIMES) - 1), "1")
    here = [
        int(n) for name, n in macros.items() if name.startswith("ClaimsHere") or name == "ClaimsNoSayHere"
    ]
    assert sum(here) == int(macros["ClaimsCount"]) == len(IDS)


def test_what_belongs_to_shd_has_no_say_elsewhere_even_where_it_is_absent(results):
    config = to_mapping(results.settings)
    config["dataset"] = {"train": "a.h5", "test": "b.h5", "name": "digits"}
    config["experiments"]["regularization"]["thresholds"] = [0.03, 0.1]
    results.settings = from_mapping(config)
    results.runs = results.runs[results.runs.condition != "regularized-0.40"].assign(dataset="digits")
    judged = results.judge("table-2", "best-regularized")
    assert judged["table-2"].holds_here == "no say here"
    assert judged["best-regularized"].holds_here == "undecided"  # its orderings: one yes, one not trained


def test_pages_may_end_inside_a_claim_but_not_after_its_head_or_before_its_reason(results):
    tex = to_tex(results.judge("table-2").values()).split(r"\endhead")[2].splitlines()
    lines = [line for line in tex if line.rstrip("*").endswith(r"\\")]
    starred = [line.endswith("*") for line in lines]
    assert len(lines) == 12 and starred == [True, *[False] * 9, True, False]


def test_times_of_a_cpu_are_shown_and_not_judged(results):
    for table in (results.runs, results.epoch, results.sequence_length):
        table["device"] = "cpu"
    judged = results.judge()
    for name, j in judged.items():
        if name in TIMES:
            assert (j.verdict, j.holds_here) == ("not comparable", "no say here")
            assert any(f.measured for f in j.findings)
        else:
            assert j.verdict != "not comparable"
    assert "Timed on a CPU, while the claim is about a GPU." in judged["ten-times-faster"].reason


def test_what_was_not_measured_is_left_out_where_it_only_compares(results):
    results.sequence_length["seconds_unsynchronised"] = np.nan
    labels = [f.part.label for f in results.judge("constant-in-length")["constant-in-length"].findings]
    assert labels == ["LIF grows", "SPSN-SB constant", "LIF (unbind)"]


def test_absolute_seconds_are_never_judged(results):
    results.epoch["seconds_per_epoch"] *= 100
    judged = results.judge()
    assert (
        judged["epoch-time"].verdict == "not comparable"
        and judged["ten-times-faster"].verdict == "replicated"
    )


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
    ["tables/runs", "timing/epoch", "timing/sequence_length", "robustness/trials", "robustness/test_set"],
)
def test_a_missing_file_is_an_error(results, name):
    folder = results.write()
    (folder / f"{name}.csv").unlink()
    with pytest.raises(RecordError, match=f"{name}.csv: is missing"):
        judge(folder, CLAIMS, results.settings)


def test_half_a_grid_is_an_error(results):
    runs = results.runs
    results.runs = runs[~((runs.seed == 3) & (runs.condition == "basic") & (runs.model == "lif"))]
    with pytest.raises(RecordError, match=r"lacks 1 run of the configuration \(accuracy/lif/basic/3\)"):
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
    assert "regularised: at most 4.5 below 92.4" in table.set_index("id").loc["near-state-of-the-art"].ours


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
