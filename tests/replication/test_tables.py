"""The run table, Table I and Table II: from records to what a reader sees."""

import json
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spsn.errors import RecordError
from spsn.grid import blocks
from spsn.records import read_record, write_record
from spsn.replication import accuracy_table, parameters_table
from spsn.replication.accuracy_table import CHOSEN
from spsn.replication.run_table import COLUMNS, read_csv, write_csv
from spsn.replication.statistics import summarize
from spsn.replication.tables import (
    collect_runs,
    read_reported,
    read_runs,
    readable,
    table1,
    table2,
    write_runs,
    write_table1,
    write_table2,
)
from spsn.settings import from_mapping, to_mapping

REPORTED = "paper/reported.csv"


@pytest.fixture
def reported(request):
    return read_reported(request.config.rootpath / REPORTED)


@pytest.fixture
def runs(records):
    return collect_runs(records)


def line(table, model, condition):
    chosen = table[(table.model == model) & (table.condition == condition)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_a_line_says_what_its_record_says(records, runs):
    assert len(runs) == len(records)
    layers = ["spikes_per_ms_1", "spikes_per_ms_2", "spikes_per_ms_3"]
    assert set(runs) == set(COLUMNS) | set(layers)
    for path in records:
        record = read_record(path)
        s = record.settings
        row = runs[
            (runs.experiment == s.experiment) & (runs.model == s.model)
            & (runs.condition == s.condition) & (runs.seed == s.seed)
        ].iloc[0]  # fmt: skip
        r = record.result
        assert (row.test_accuracy, row.train_accuracy) == (r.test_accuracy, r.train_accuracy[-1])
        assert row.test_accuracy_seen == r.speakers["0"]["hits"] / 100
        assert row.test_accuracy_unseen == r.speakers["4"]["hits"] / 100
        assert row.epoch_seconds == 1.2  # the median of 3, 1, 1.2
        rates = r.spikes_per_ms
        assert np.isnan(row.spikes_per_ms) if not rates else row.spikes_per_ms == pytest.approx(sum(rates))
        assert tuple(row[layers].dropna()) == rates
        threshold = s.rate_threshold
        assert np.isnan(row.rate_threshold) if threshold is None else row.rate_threshold == threshold


def test_the_order_of_the_records_does_not_matter(records, runs, tmp_path):
    shuffled = records.copy()
    random.Random(0).shuffle(shuffled)
    pd.testing.assert_frame_equal(collect_runs(shuffled), runs)
    for name, paths in (("a.csv", records), ("b.csv", shuffled)):
        write_runs(paths, tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_lines_stand_in_the_order_of_the_grid(runs, small_plan):
    expected = [(b.experiment, b.model, b.condition.name) for b in blocks(small_plan) for _ in b.seeds]
    found = list(zip(runs.experiment, runs.model, runs.condition, strict=True))
    assert found == expected and list(runs.seed[:4]) == [0, 1, 0, 1]


def test_numbers_come_back_from_the_file_as_they_were(runs, records, tmp_path):
    write_runs(records, tmp_path / "runs.csv")
    pd.testing.assert_frame_equal(read_runs(tmp_path / "runs.csv"), runs, check_exact=True, check_dtype=False)


def test_a_run_without_speakers_has_empty_cells(records):
    record = read_record(records[0])
    write_record(records[0], replace(record, result=replace(record.result, speakers={})))
    row = collect_runs(records[:1]).iloc[0]
    assert np.isnan(row.test_accuracy_seen) and np.isnan(row.test_accuracy_unseen)


def test_two_records_of_one_run_are_refused(records, tmp_path):
    copy = tmp_path / "again.json"
    copy.write_bytes(records[0].read_bytes())
    with pytest.raises(RecordError, match="second record of accuracy/lif/basic/0"):
        collect_runs([*records, copy])


@pytest.mark.parametrize(
    "change", [{"dataset": "other"}, {"train_digest": "other"}, {"test_digest": "other"}]
)
def test_records_of_different_data_are_refused(records, change):
    record = read_record(records[0])
    write_record(records[0], replace(record, settings=replace(record.settings, **change)))
    with pytest.raises(RecordError, match="different data"):
        collect_runs(records)


def test_no_record_and_no_table_are_errors(tmp_path):
    with pytest.raises(RecordError, match="no run record"):
        collect_runs([])
    with pytest.raises(RecordError, match="is missing"):
        read_runs(tmp_path / "runs.csv")
    (tmp_path / "runs.csv").write_text("experiment,model\naccuracy,lif\n")
    with pytest.raises(RecordError, match="lacks the columns condition"):
        read_runs(tmp_path / "runs.csv")


def test_table1_of_the_papers_configuration_is_the_papers(results):
    table = table1(results.settings)
    assert not table.differs.any()
    values = table.set_index("parameter").paper
    assert values["membrane time constant"] == "0.02; Fig. 2: 0.001" and values["epochs"] == "200"
    assert values["rate threshold, SPSN-GS"] == "0.1" and values["classes"] == "20"


def test_table1_marks_what_differs_and_nothing_else(results):
    config = to_mapping(results.settings)
    config["augmentation"]["shift"] = 0.2
    config["experiments"]["regularization"]["training"]["epochs"] = 20
    table = table1(from_mapping(config), classes=10).set_index("parameter")
    assert set(table.index[table.differs]) == {"shift of the channels", "epochs", "classes"}
    assert table.ours["epochs"] == "200; Fig. 4: 20" and table.ours["classes"] == "10"
    tex = parameters_table.to_tex(table.reset_index())
    assert tex.count(r"\,*") == 3 and r"$\tau_\mathrm{mem}$" in tex


@pytest.mark.parametrize(
    ("key", "here"), [("thresholds", [0.01, 0.4, 0.6]), ("models", ["spsn-sb"])], ids=["threshold", "model"]
)
def test_table1_says_which_published_threshold_was_not_trained(results, key, here):
    config = to_mapping(results.settings)
    config["experiments"]["regularization"][key] = here
    table = table1(from_mapping(config))
    assert list(table.parameter[table.differs]) == ["rate threshold, SPSN-GS"]
    rows = table.set_index("parameter")
    assert rows.ours["rate threshold, SPSN-GS"] == "not trained"
    assert rows.paper["rate threshold, SPSN-GS"] == "0.1" and rows.ours["rate threshold, SPSN-SB"] == "0.4"
    assert r"not trained\,*" in parameters_table.to_tex(table)


def test_table2_stands_beside_the_paper(results, reported):
    table = table2(results.runs, reported, results.settings)
    assert table.comparable.all() and (table.chance == 5).all() and len(table) == 12
    paper = table[table.paper.notna()]
    assert len(paper) == 10
    assert paper["mean"].to_numpy() == pytest.approx(paper.paper.to_numpy())
    assert paper.sd.to_numpy() == pytest.approx(paper.paper_spread.to_numpy())
    row = line(table, "spsn-gs", "regularized")
    values = results.runs[(results.runs.model == "spsn-gs") & (results.runs.condition == "regularized-0.10")]
    summary = summarize(100 * values.test_accuracy)
    assert (row["mean"], row.low, row.high, row.n) == (summary.mean, summary.low, summary.high, 10)
    assert (row.paper, row.paper_spread, row.rate_threshold) == (89.73, 1.57, 0.1)


def test_the_best_threshold_is_a_line_of_its_own_and_says_so(results, reported):
    results.put("regularization/spsn-sb/regularized-0.20", test_accuracy=(95.0, 1.0))
    table = table2(results.runs, reported, results.settings)
    best, published = (line(table, "spsn-sb", c) for c in ("regularized, best", "regularized"))
    assert best["mean"] == pytest.approx(95) and best.rate_threshold == 0.2 and np.isnan(best.paper)
    assert CHOSEN in best.note and "best of 8" in best.note
    assert (
        published["mean"] == pytest.approx(89.23) and published.rate_threshold == 0.4 and not published.note
    )


def test_a_published_threshold_that_was_not_trained_leaves_its_cells_empty(results, reported):
    config = to_mapping(results.settings)
    config["experiments"]["regularization"]["thresholds"] = [0.1, 0.2]
    runs = results.runs[~results.runs.condition.isin(["regularized-0.40"])]
    row = line(table2(runs, reported, from_mapping(config)), "spsn-sb", "regularized")
    assert np.isnan(row["mean"]) and row.n == 0 and "not in the configuration" in row.note


def test_other_data_are_not_comparable_and_show_unseen_speakers_apart(runs, reported, small_plan):
    table = table2(runs, reported, small_plan)
    assert not table.comparable.any() and (table.chance == 10).all()
    row = line(table, "lif", "basic")
    own = runs[(runs.experiment == "accuracy") & (runs.model == "lif") & (runs.condition == "basic")]
    assert row.unseen_mean == pytest.approx(100 * own.test_accuracy_unseen.mean())
    assert row.seen_sd == pytest.approx(100 * own.test_accuracy_seen.std())
    assert row.unseen_mean != pytest.approx(row["mean"])
    assert {"seen", "unseen"} <= set(readable(table))
    tex = accuracy_table.to_tex(table, small_plan)
    assert r"not comparable here: the data are digits \& more\_1, not SHD" in tex
    assert "Chance: 10 \\%" in tex and CHOSEN in tex


def test_training_that_departs_from_the_paper_is_not_comparable(results, reported):
    config = to_mapping(results.settings)
    config["experiments"]["accuracy"]["training"]["epochs"] = 40
    settings = from_mapping(config)
    table = table2(results.runs, reported, settings)
    assert not table.comparable.any()
    assert "epochs 40 instead of 200" in accuracy_table.to_tex(table, settings)


def test_one_seed_has_no_spread_and_no_interval(results, reported):
    one = results.runs[results.runs.seed == 0]
    table = table2(one, reported, results.settings)
    assert table.sd.isna().all() and table.low.isna().all() and (table.n == 1).all()
    assert set(readable(table)["95 % interval"]) == {"–"}
    assert not readable(table).ours.str.contains("±").any()
    assert "A single seed has neither a spread nor an interval." in accuracy_table.to_tex(
        table, results.settings
    )


def test_of_one_threshold_none_is_the_best(results, reported):
    runs = results.runs
    one = runs[(runs.experiment != "regularization") | (runs.condition == "regularized-0.40")]
    table = table2(one, reported, results.settings)
    assert not (table.condition == "regularized, best").any() and not table.note.str.contains(CHOSEN).any()
    assert line(table, "spsn-sb", "regularized").n == 10


def test_equal_seeds_without_an_interval_are_explained(results, reported):
    two = results.runs[results.runs.seed < 2].assign(test_accuracy=0.8)
    tex = accuracy_table.to_tex(table2(two, reported, results.settings), results.settings)
    assert "Fewer than six seeds with equal values give no interval." in tex and "single seed" not in tex


def test_an_interval_cut_off_at_the_ends_of_a_share_is_said(results, reported):
    remark = r"Intervals are cut off at 0 and 100 \%."
    table = table2(results.runs, reported, results.settings)
    assert remark not in accuracy_table.to_tex(table, results.settings)
    results.put("accuracy/lif/basic", test_accuracy=(99.0, 3.0))
    table = table2(results.runs, reported, results.settings)
    assert remark in accuracy_table.to_tex(table, results.settings)


def test_the_table_is_spelt_as_the_report(results, reported):
    table = table2(results.runs, reported, results.settings)
    tex = accuracy_table.to_tex(table, results.settings)
    assert "regularised (0.4)" in tex and "regularized" not in tex


@pytest.mark.parametrize("name", ["null", "nan", "NA", "None"])
def test_a_class_of_any_name_comes_back(tmp_path, name):
    path = tmp_path / "trials.csv"
    write_csv(pd.DataFrame({"class_name": [name, "one"], "rate": [np.nan, 0.1 + 0.2]}), path)
    table = read_csv(path, ["class_name"])
    assert list(table.class_name) == [name, "one"]
    assert np.isnan(table.rate[0]) and table.rate[1] == 0.1 + 0.2


def test_table2_knows_nothing_of_how_long_it_took(runs, reported, small_plan):
    other = runs.assign(epoch_seconds=9.0, test_seconds=9.0, peak_bytes=9, device="cuda:0", threads=9)
    pd.testing.assert_frame_equal(table2(other, reported, small_plan), table2(runs, reported, small_plan))


def test_tables_are_written_from_the_results_alone(records, small_plan, tmp_path, request):
    write_runs(records, tmp_path / "tables" / "runs.csv")
    (tmp_path / "data.json").write_text(json.dumps({"splits": {"test": {"classes": 10}}}))
    write_table1(tmp_path, small_plan)
    write_table2(tmp_path, request.config.rootpath / REPORTED, small_plan)
    table = pd.read_csv(tmp_path / "tables" / "table1.csv", index_col="parameter", dtype=str)
    assert table.ours["classes"] == "10" and table.ours["data set"] == "digits & more_1"
    assert len(pd.read_csv(tmp_path / "tables" / "table2.csv")) == 10
    for name in ("table1", "table2"):
        tex = (tmp_path / "tables" / f"{name}.tex").read_text()
        assert r"digits \& more\_1" in tex and tex.count("{") == tex.count("}")
    (tmp_path / "data.json").write_text("{}")
    with pytest.raises(RecordError, match="number of classes"):
        write_table1(tmp_path, small_plan)
