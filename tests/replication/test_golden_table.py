"""The judge of the golden check: agreement, spread, chance, and what the report says of it."""

import json
from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest
from support import ROOT, load_config

from spsn.errors import RecordError
from spsn.golden import COLUMNS
from spsn.replication import golden_table as judge
from spsn.replication.facts.golden import SWITCHES, golden_macros
from spsn.settings import GoldenCheck, from_mapping

SHD = {
    "made": True,
    "reason": None,
    "weights": "fetch",
    "files": [],
    "dataset": "shd",
    "is_shd": True,
    "samples": 2264,
    "classes": 20,
    "commonest_class": 0.05,
    "trials": 10,
    "batch_size": 64,
}
OTHER = SHD | {"dataset": "words", "is_shd": False, "samples": 200, "commonest_class": 0.1}
LIF, SB, NONE = 0, 1, 3  # lines of the authors' report


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return judge.read_published(ROOT / "paper" / "golden.csv")


@pytest.fixture
def config():
    """The paper's settings with the golden check asked for, or not."""
    paper = from_mapping(load_config("paper"))
    return lambda weights="fetch": replace(paper, golden=GoldenCheck(weights=weights))


def passes(line: pd.Series, *hits: float, samples: int = 2264, **rates: float) -> pd.DataFrame:
    """Passes of one file that say what its authors report, but for `hits` and `rates`."""
    own = {name: line[name] for name in ("file", "model", "condition", *judge.RATES)} | rates
    return pd.DataFrame(
        [own | {"trial": i, "hits": h, "samples": samples} for i, h in enumerate(hits or (line.hits,))]
    )


def verdict(line: pd.Series, table: pd.DataFrame, about=SHD) -> pd.Series:
    return judge.golden_table(table, about, pd.DataFrame([line])).iloc[0]


def faithful(published: pd.DataFrame) -> pd.DataFrame:
    """What a program that does exactly as the authors' would write."""
    around = {True: (-9, 4, 0, 7, -3, 1, -1, 6, -5, 2), False: (0,)}
    return pd.concat(
        passes(line, *(line.hits + d for d in around[line.model in judge.RANDOM]))
        for _, line in published.iterrows()
    )


def test_the_columns_are_those_that_are_written():
    assert judge.COLUMNS == COLUMNS


def test_the_authors_report_is_whole(published):
    """Ten files; the accuracies that the paper's authors print, hits of 2264; no rates without spikes."""
    assert len(published) == 10 and set(published.total) == {2264}
    known = {"lif": (71.378, 83.039), "non-spiking": (71.820, 66.078)}
    for model, accuracies in known.items():
        hits = published[published.model == model].hits
        assert (100 * hits / 2264).round(3).tolist() == list(accuracies)
    spiking = published.model != "non-spiking"
    assert published.loc[spiking, list(judge.RATES)].notna().all(axis=None)
    assert published.loc[~spiking, list(judge.RATES)].isna().all(axis=None)


def test_a_program_like_the_authors_agrees(published):
    table = judge.golden_table(faithful(published), SHD, published)
    assert list(table.verdict) == ["agrees"] * 10 and (table.reason == "").all()
    assert list(table.file) == list(published.file) and list(table.published_hits) == list(published.hits)
    assert (table.p_value < 1e-100).all()


@pytest.mark.parametrize("line", [LIF, NONE])
@pytest.mark.parametrize(("off", "found"), [(2, "agrees"), (-2, "agrees"), (3, "differs"), (-3, "differs")])
def test_networks_without_noise_are_allowed_two_answers(published, line, off, found):
    row = published.iloc[line]
    judged = verdict(row, passes(row, row.hits + off))
    assert judged.verdict == found
    assert (judged.reason != "") == (found == "differs")
    assert np.isnan(judged.low) and judged.passes == 1


@pytest.mark.parametrize(("rate", "found"), [(4.992, "agrees"), (5.009, "agrees"), (5.02, "differs")])
def test_every_layer_of_lif_is_held_to_its_rate(published, rate, found):
    row = published.iloc[LIF]
    judged = verdict(row, passes(row, spikes_per_ms_2=rate))
    assert judged.verdict == found
    if found == "differs":
        assert judged.reason == "layer 2 spikes 5.02 instead of 5.00 times per ms"
    assert verdict(row, passes(row, spikes_per_ms_2=np.nan)).verdict == "differs"


def test_the_interval_holds_one_more_pass_as_often_as_it_says(published):
    """5 passes and one more of the same law, again and again: agreement in 99 of 100."""
    random, repeats = np.random.default_rng(0), 1500
    drawn = random.normal(1747, 8, (repeats, 6))
    line = published.iloc[SB]
    made = [passes(line, *row[:5]).assign(file=str(i)) for i, row in enumerate(drawn)]
    reported = pd.DataFrame([dict(line, file=str(i), hits=row[5]) for i, row in enumerate(drawn)])
    reported["hits"] = reported.hits.round().astype(int)  # as whole numbers are
    share = (judge.golden_table(pd.concat(made), SHD, reported).verdict == "agrees").mean()
    assert share == pytest.approx(0.99, abs=3 * np.sqrt(0.99 * 0.01 / repeats))


def test_a_network_with_noise_far_from_the_report_differs(published):
    row = published.iloc[SB]
    judged = verdict(row, passes(row, 1700, 1702, 1698, 1701))
    assert judged.verdict == "differs" and "1747" in judged.reason
    assert judged.low < 1700.25 < judged.high < 1747 and judged.hits == 1700.25


def test_one_pass_with_noise_is_undecided(published):
    row = published.iloc[SB]
    assert verdict(row, passes(row, 1747)).verdict == "undecided"


@pytest.mark.parametrize(
    ("changes", "samples", "reason"),
    [
        ({"is_shd": False, "dataset": "words"}, 2264, "the data are words"),
        ({}, 100, "100 samples"),
        ({"batch_size": 32}, 2264, "batches of 32"),
    ],
)
def test_nothing_is_held_against_other_data(published, changes, samples, reason):
    row = published.iloc[LIF]
    judged = verdict(row, passes(row, samples // 2, samples=samples), SHD | changes)
    assert judged.verdict == "not comparable" and reason in judged.reason


def test_chance_is_that_of_the_best_guess(published):
    """The binomial tail of the first pass, against the commonest class or one of the twenty answers."""
    row = published.iloc[SB]
    for commonest, chance in ((0.1, 0.1), (0.02, 0.05)):
        judged = verdict(row, passes(row, 30, 90, samples=200), OTHER | {"commonest_class": commonest})
        tail = sum(comb(200, k) * chance**k * (1 - chance) ** (200 - k) for k in range(30, 201))
        assert judged.chance == chance and judged.p_value == pytest.approx(tail, rel=1e-9)
        assert judged.share == 0.3


def write(folder, table: pd.DataFrame | None, about: dict) -> None:
    (folder / "golden").mkdir(exist_ok=True)
    empty = pd.DataFrame(columns=list(judge.COLUMNS))
    (empty if table is None else table).to_csv(folder / "golden" / "passes.csv", index=False)
    (folder / "golden" / "about.json").write_text(json.dumps(about))


def test_files_for_the_report_on_shd(published, tmp_path, config):
    write(tmp_path, faithful(published), SHD)
    table = judge.write_golden_table(tmp_path, ROOT / "paper" / "golden.csv")
    written = pd.read_csv(tmp_path / "tables" / "table_golden.csv")
    assert list(written) == list(table) == list(judge.TABLE_COLUMNS)
    for name in ("file", "verdict", "hits", "low", "high", *judge.RATES):
        assert written[name].equals(table[name].astype(written[name].dtype))
    tex = (tmp_path / "tables" / "table_golden.tex").read_text()
    assert "agrees" in tex and "1616" in tex and "3.20 / 5.00 / 13.8" in tex
    macros, switches = golden_macros(tmp_path, config())
    assert switches == dict.fromkeys(SWITCHES, True)
    assert (macros["GoldenAgree"], macros["GoldenDiffer"], macros["GoldenTrials"]) == ("10", "0", "10")


def test_files_for_the_report_on_other_data(published, tmp_path, config):
    """One of two networks is no better than guessing; nothing of this is judged."""
    two = [passes(published.iloc[LIF], 80, samples=200), passes(published.iloc[NONE], 20, samples=200)]
    write(tmp_path, pd.concat(two), OTHER)
    judge.write_golden_table(tmp_path, ROOT / "paper" / "golden.csv")
    shown = judge.readable(pd.read_csv(tmp_path / "tables" / "table_golden.csv"))
    assert list(shown["authors, on SHD"]) == ["71.4 %", "71.8 %"] and list(shown.here) == ["40.0 %", "10.0 %"]
    assert shown["by chance"].iloc[0] == "< 1e−9" and float(shown["by chance"].iloc[1]) > 0.4
    assert "verdict" not in shown and shown["spikes/ms here"].iloc[1] == "–"
    macros, switches = golden_macros(tmp_path, config())
    assert (switches["goldenmade"], switches["goldenjudged"], switches["goldenallabove"]) == (
        True,
        False,
        False,
    )
    assert (macros["GoldenAbove"], macros["GoldenCount"]) == ("1", "2")
    assert (macros["GoldenShareLow"], macros["GoldenChance"]) == (r"10.0\,\%", r"10.0\,\%")


def test_a_check_that_was_not_made_says_why(tmp_path, config):
    write(tmp_path, None, OTHER | {"made": False, "reason": "no route to 100 % of hosts_a"})
    assert judge.write_golden_table(tmp_path, ROOT / "paper" / "golden.csv").empty
    assert r"no route to 100 \% of hosts\_a" in (tmp_path / "tables" / "table_golden.tex").read_text()
    macros, switches = golden_macros(tmp_path, config())
    assert macros["GoldenReason"] == r"no route to 100 \% of hosts\_a"
    assert switches == dict.fromkeys(SWITCHES, False) | {"golden": True}


def test_a_check_that_nobody_asked_for_needs_no_files(tmp_path, config):
    assert golden_macros(tmp_path, config(None)) == ({}, dict.fromkeys(SWITCHES, False))


@pytest.mark.parametrize("absent", ["passes.csv", "about.json"])
def test_a_file_that_is_absent_is_named_with_its_remedy(published, tmp_path, absent):
    write(tmp_path, faithful(published), SHD)
    (tmp_path / "golden" / absent).unlink()
    with pytest.raises(RecordError, match=f"{absent}: is missing.*snakemake"):
        judge.write_golden_table(tmp_path, ROOT / "paper" / "golden.csv")


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_file_is_named(published, tmp_path, content):
    write(tmp_path, faithful(published), SHD)
    (tmp_path / "golden" / "about.json").write_text(content)
    with pytest.raises(RecordError, match=r"about\.json: cannot be read"):
        judge.read_golden(tmp_path)
