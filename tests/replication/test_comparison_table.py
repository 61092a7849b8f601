"""The comparison's table: every method that was trained, what its files say, and no number where none is."""

import os
import shutil
import subprocess
import sys

import crafted_comparison as crafted
import crafted_results
import numpy as np
import pandas as pd
import pytest

from spsn.errors import RecordError
from spsn.files import write_json
from spsn.methods import METHODS, TRAITS
from spsn.replication.compared import Compared, method_of, read_compared, with_methods
from spsn.replication.comparison_table import COLUMNS, comparison_table, readable, write_comparison
from spsn.replication.comparison_tex import GRADIENTS, table_notes, to_tex
from spsn.replication.method_style import FAMILIES, method_look
from spsn.replication.statistics import summarize

PLAN = crafted_results.plan("paper")
GUESS = 0.06


def compared(runs: pd.DataFrame | None = None, costs: pd.DataFrame | None = None) -> Compared:
    """The crafted comparison, with other runs or costs where they are given."""
    runs = crafted.runs(PLAN) if runs is None else runs
    return Compared(with_methods(runs), crafted.costs() if costs is None else costs, GUESS)


def line(table: pd.DataFrame, method: str, step: float = 0.004) -> pd.Series:
    found = table[(table.method == method) & (table.time_step == step)]
    assert len(found) == 1, f"{method}: {len(found)} lines"
    return found.iloc[0]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return comparison_table(compared())


@pytest.fixture
def folder(tmp_path):
    """A results folder with both tables and the facts of the data."""
    write_json(tmp_path / "data.json", {"splits": {"test": {"classes": 20, "samples": 200}}})
    return crafted.write(tmp_path, PLAN)


def test_a_method_is_a_model_and_what_its_condition_says_after_the_step():
    assert method_of("ottt", "4ms") == "ottt"
    assert method_of("ottt", "4ms-instantaneous-input") == "ottt-instantaneous-input"
    assert method_of("exodus", "0.5ms-per-step") == "exodus-per-step"


def test_every_trained_method_has_a_line_in_the_order_of_the_methods(table):
    assert list(table.columns) == list(COLUMNS)
    for configured in PLAN.experiments.comparison.tables:
        found = list(table.method[table.time_step == configured.time_step])
        assert found == [name for name in METHODS if name in configured.methods]


def test_numbers_are_means_over_seeds_with_their_intervals(table):
    runs = with_methods(crafted.runs(PLAN))
    for method in ("exodus", "spsn-sb", "saf-f"):
        own = runs[(runs.method == method) & (runs.time_step == 0.001)]
        accuracy, rate, row = (
            summarize(100 * own.test_accuracy),
            summarize(own.spikes_per_ms),
            line(table, method, 0.001),
        )
        assert row.n == len(own) == 10
        assert list(row[["accuracy", "accuracy_low", "accuracy_high"]]) == pytest.approx(
            [accuracy.mean, accuracy.low, accuracy.high]
        )
        assert list(row[["spikes_per_ms", "spikes_low", "spikes_high"]]) == pytest.approx(
            [rate.mean, rate.low, rate.high]
        )


def test_traits_are_those_of_the_model(table):
    for row in table.itertuples():
        traits = TRAITS[METHODS[row.method].model]
        assert (row.family, row.parallel, row.gradient, row.reset) == (
            traits.family,
            traits.parallel,
            traits.gradient,
            traits.reset,
        )


def test_the_form_that_gave_the_seconds_is_said(table):
    forms = {name: line(table, name).form for name in ("lif", "exodus", "psu", "bptt")}
    assert forms == {"lif": "fused", "exodus": "fused neuron", "psu": "plain", "bptt": "plain"}
    plain = comparison_table(compared(crafted.runs(PLAN).assign(backend="torch")))
    assert set(plain.form) == {"plain"} and set(plain.timed[plain.timed != ""]) == {"eager"}


def test_costs_are_those_of_the_form_that_trained(table):
    costs = crafted.costs()
    for method, form in (("exodus", "fused"), ("psu", "eager")):
        at = costs[(costs.method == method) & (costs.implementation == form) & (costs.steps == 10_000)]
        row = line(table, method)
        assert row.timed == form and row.memory_bytes == at.peak_bytes.iloc[0]
        assert row.time_low <= row.time_power <= row.time_high


def test_a_method_whose_fused_form_was_not_timed_says_so():
    costs = crafted.costs().query("implementation == 'eager'")
    table = comparison_table(compared(costs=costs))
    assert line(table, "exodus").timed == "eager"
    assert any("eager form" in note for note in table_notes(table))
    assert r"\rlap{*}" in to_tex(table)
    assert r"\rlap{*}" not in to_tex(comparison_table(compared()))


def test_a_missing_method_has_no_line_and_changes_no_other(table):
    runs = crafted.runs(PLAN)
    less = comparison_table(compared(runs[runs.model != "saf-e"]))
    assert "saf-e" not in set(less.method)
    pd.testing.assert_frame_equal(less, table[table.method != "saf-e"].reset_index(drop=True))


def test_a_method_that_was_not_timed_has_dashes(table):
    row = line(table, "psu-centred")
    assert (row.timed, row.memory_status) == ("", "") and np.isnan(row.memory_bytes)
    (cells,) = [text for text in to_tex(table).splitlines() if "IPSU (sigmoid, centred)" in text]
    assert cells.endswith(r"& -- & -- & -- \\")


@pytest.mark.parametrize(
    "costs, said",
    [
        (crafted.costs(lengths=(100, 300, 1000, 3000)), "--"),
        (crafted.costs(limit=1e-9), r"\emph{too slow}"),
        (crafted.costs(memory=1.0), r"\emph{out of memory}"),
    ],
    ids=["no such length", "too slow", "out of memory"],
)
def test_memory_that_was_not_measured_says_why(costs, said):
    table = comparison_table(compared(costs=costs))
    assert table.memory_bytes.isna().all()
    (cells,) = [text for text in to_tex(table).splitlines() if r"SPSN-SB &" in text and "72.2" in text]
    assert cells.split(" & ")[9] == said


def test_a_single_seed_has_no_interval():
    runs = crafted.runs(PLAN)
    table = comparison_table(compared(runs[runs.seed == 0]))
    assert set(table.n) == {1} and table.accuracy_low.isna().all()
    assert "nan" not in to_tex(table) and " to 7" not in to_tex(table)
    assert not readable(table).accuracy.str.contains("to").any()


def test_what_is_no_better_than_naming_the_commonest_class_is_marked(table):
    failed = {(row.method, row.time_step) for row in table.itertuples() if not row.learned}
    assert failed == {("psu", 0.001), ("psu", 0.004)}
    marked = [text for text in to_tex(table).splitlines() if r"$\dagger$" in text]
    assert len(marked) == 2 and all("PSU" in text and "centred" not in text for text in marked)
    everything = comparison_table(Compared(with_methods(crafted.runs(PLAN)), crafted.costs(), 0.9))
    assert not everything.learned.any()


def test_gradients_that_are_not_plainly_exact_have_a_letter_and_a_note(table):
    notes = " ".join(table_notes(table))
    for kind in set(table.gradient) - {"exact"}:
        assert GRADIENTS[kind] in notes
    tex = to_tex(table)
    assert r"EXODUS & no & yes & soft" in tex and r"SLAYER & no & no\textsuperscript{a} & soft" in tex


def test_intervals_that_are_missing_or_cut_are_told():
    runs = crafted.runs(PLAN)
    equal = comparison_table(compared(runs[runs.seed < 2].assign(test_accuracy=0.5, test_hits=100)))
    assert any("equal values" in note for note in table_notes(equal))
    wide = runs[runs.seed < 2].assign(test_accuracy=lambda t: 0.1 + 0.8 * t.seed)
    assert any("cut off" in note for note in table_notes(comparison_table(compared(wide))))
    assert not any("interval" in note for note in table_notes(comparison_table(compared())))


def test_families_stand_under_their_names(table):
    for part in to_tex(table).split(r"\methodtable{")[2:]:
        places = [part.index(rf"\emph{{{name}}}") for _, name in FAMILIES.values()]
        assert places == sorted(places)


def test_the_files_say_the_same_as_the_table(folder):
    table = write_comparison(folder)
    read = pd.read_csv(folder / "tables/comparison.csv", keep_default_na=False, na_values=[""])
    assert list(read.columns) == list(COLUMNS) and list(read.method) == list(table.method)
    assert read.accuracy.to_numpy() == pytest.approx(table.accuracy.to_numpy())
    assert (folder / "tables/comparison.tex").read_text() == to_tex(table)
    assert set(readable(table).method) == {method_look(name).label for name in table.method}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_table_can_be_typeset_by_itself(folder):
    write_comparison(folder)
    (folder / "alone.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\tiny\input{tables/comparison}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout.decode()[-2000:]


@pytest.mark.parametrize("name", ["tables/comparison_runs.csv", "timing/methods.csv", "data.json"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(RecordError, match=rf"{name}: is missing; make it with `snakemake .*{name}"):
        read_compared(folder)


def test_an_unknown_method_is_named(folder):
    crafted.write(folder, PLAN, of_costs=crafted.costs().replace({"method": {"psu": "psi"}}))
    with pytest.raises(RecordError, match=r"methods\.csv: psi is no method"):
        read_compared(folder)
    crafted.write(folder, PLAN, of_runs=crafted.runs(PLAN).replace({"condition": {"4ms-final": "4ms-fine"}}))
    with pytest.raises(RecordError, match=r"comparison_runs\.csv: exodus-fine is no method"):
        read_compared(folder)


@pytest.mark.parametrize(
    "test, guess",
    [
        ({"classes": 20}, 0.05),
        ({"classes": 20, "samples": 200, "samples_per_class": {"min": 5, "max": 30}}, 0.15),
        ({"classes": 10, "samples": 200, "samples_per_class": {"min": 2, "max": 4}}, 0.1),
    ],
)
def test_guessing_is_naming_the_commonest_class(folder, test, guess):
    write_json(folder / "data.json", {"splits": {"test": test}})
    assert read_compared(folder).guess == pytest.approx(guess)


@pytest.mark.parametrize("module", ["comparison_table", "facts.comparison", "figures", "method_pairs"])
def test_modules_can_be_imported_first(module):
    """Each by itself in a new process: one that imports itself in a circle would only fail there."""
    environment = {**os.environ, "PYTHONPATH": str(crafted_results.ROOT / "src")}
    subprocess.run([sys.executable, "-c", f"import spsn.replication.{module}"], check=True, env=environment)


def test_facts_that_name_no_class_are_refused(folder):
    write_json(folder / "data.json", {"splits": {"test": {"classes": 0}}})
    with pytest.raises(RecordError, match=r"data\.json: cannot be read as facts"):
        read_compared(folder)
