"""The report with part II: only where it is asked for, from its files alone, whatever they lack."""

import argparse
import re
import shutil
from pathlib import Path

import crafted_comparison as crafted
import crafted_results
import pytest
from report_text import needs_pdftotext, needs_tex, pages, switches, typed_numbers

from spsn import cli, commands
from spsn.errors import SpsnError
from spsn.files import write_json
from spsn.replication.report import build_pdf, write_macros
from spsn.replication.typesetting import COMPARISON_PARTS, FULL_REPORT, REPORT
from spsn.settings import to_mapping

TEXT = crafted_results.TEX.with_name("comparison.tex")
PLAN = crafted_results.plan("demo")


def make(folder: Path, plan=PLAN, runs=None, costs=None, *, drawn: bool = False) -> Path:
    """A results folder with part II's files, of these runs and costs."""
    crafted_results.write(folder, plan)
    crafted.write(folder, plan, runs, costs)
    return crafted.complete(folder, plan, drawn=drawn)


def part_two(pdf: Path) -> str:
    """The text of part II, from its heading to the references."""
    text = " ".join(pages(pdf))
    assert "??" not in text
    return text.partition("Part II Beyond the paper")[2].partition("References")[0]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """The demo's crafted results, with part II typeset where there is TeX."""
    folder = make(tmp_path_factory.mktemp("full") / "demo", drawn=True)
    write_macros(folder, PLAN, folder / FULL_REPORT.macros, FULL_REPORT)
    return folder


@pytest.fixture(scope="module")
def full_pdf(full: Path) -> Path:
    return crafted.typeset(full, PLAN)


def test_the_text_types_no_result():
    lengths = r"\{[\d.]+pt\}|\d+\\baselineskip|#\d|\[\d\]"
    text = "\\begin{document}" + re.sub(lengths, "", TEXT.read_text())
    assert typed_numbers(text) == []
    planted = r"EXODUS reached 71.4\,\%."
    assert typed_numbers(text.replace(r"\section{What is compared}", planted)) != []


def test_every_macro_and_switch_of_the_text_is_written(full: Path):
    text = re.sub(r"(?<!\\)%.*", "", TEXT.read_text())
    written = (full / FULL_REPORT.macros).read_text()
    defined = set(re.findall(r"\\newcommand\{\\(\w+)\}", written + text))
    mathematics = {"Bigl", "Bigr", "Delta", "Lambda"}
    assert set(re.findall(r"\\([A-Z][A-Za-z]+)", text)) <= defined | mathematics
    known = set(re.findall(r"\\newif\\if(\w+) ", written)) | {"firstmethods"}
    assert set(re.findall(r"\\if([a-z]+)", text)) <= known
    assert written.count("\\comparisontrue") == 1


def test_every_macro_of_the_comparison_is_used(full: Path):
    beyond = r"\\newcommand\{\\((?:Comparison|Control|Contrast|Cost)\w+)\}"
    written = set(re.findall(beyond, (full / FULL_REPORT.macros).read_text()))
    used = TEXT.read_text() + crafted_results.TEX.read_text()
    assert {name for name in written if not re.search(rf"\\{name}(?![A-Za-z])", used)} == set()


def test_the_report_of_the_paper_needs_nothing_of_part_two(tmp_path: Path):
    folder = crafted_results.write(tmp_path / "demo", PLAN)
    write_macros(folder, PLAN, folder / REPORT.macros)
    text = (folder / REPORT.macros).read_text()
    assert "\\comparisonfalse" in text and "ControlTable" not in text


@needs_tex
@needs_pdftotext
def test_part_two_follows_part_one_and_says_whose_data_these_are(full_pdf: Path):
    found = pages(full_pdf)
    assert all("Data: synthetic-digits — not SHD" in page for page in found)
    text = " ".join(found)
    places = [text.index(name) for name in ("Part I The replication", "1 What was done", "Part II Beyond")]
    assert places == sorted(places) and "Part II goes beyond the paper: 25 methods" in found[0]
    second = part_two(full_pdf)
    assert "methods may rank differently on SHD" in second
    for name in ("What is compared", "Results of the comparison", "What can be concluded, and what cannot"):
        assert name in second


@needs_tex
@needs_pdftotext
def test_its_numbers_come_from_the_files(full_pdf: Path, tmp_path: Path):
    before = part_two(full_pdf)
    assert "PSU (4 ms: 5.0 %, silent)" in before and "−9.75 at 1 ms" in before
    runs = crafted.runs(PLAN)
    ottt = runs.model == "ottt"
    runs.loc[ottt, ["test_hits", "test_accuracy"]] = [4, 0.02]
    after = part_two(crafted.typeset(make(tmp_path / "demo", runs=runs), PLAN))
    assert "OTTT (4 ms: 2.0 %)" in after and "exact for the last hidden layer alone" in after
    assert "exact for the last hidden layer alone" not in before
    assert "SAF-E and OTTT (4 ms)" in after  # a control that no longer agrees


@needs_tex
@needs_pdftotext
def test_what_all_learned_is_said(tmp_path: Path):
    runs = crafted.runs(PLAN)
    psu = (runs.model == "psu") & (runs.condition == "4ms")
    runs.loc[psu, ["test_hits", "test_accuracy", "spikes_per_ms"]] = [120, 0.6, 9.0]
    text = part_two(crafted.typeset(make(tmp_path / "demo", runs=runs), PLAN))
    assert "Nothing: in all 28 combinations of method and time step" in text
    assert "is subtracted at every step" not in text


@needs_tex
@needs_pdftotext
def test_missing_methods_and_lengths_are_said(tmp_path: Path):
    runs = crafted.runs(PLAN)
    kept = runs[runs.model.isin(["lif", "spsn-sb", "psu"]) & (runs.time_step == 0.004)]
    costs = crafted.costs(methods=("lif", "psu"), lengths=(100, 300))
    text = part_two(crafted.typeset(make(tmp_path / "demo", runs=kept, costs=costs), PLAN))
    assert "these were not trained: SPSN-GS, Non-spiking, IPSU (code)" in text
    assert (
        "cannot check the programs against one another" in text and "Controls: first minus second" not in text
    )
    assert "At T = 300, the longest length" in text and "What needs memory?" not in text
    assert "weights over time" not in text.partition("Table 11")[0]


@needs_tex
@needs_pdftotext
def test_nothing_measured_is_said(tmp_path: Path):
    folder = make(tmp_path / "demo", costs=crafted.costs(limit=1e-9))
    text = part_two(crafted.typeset(folder, PLAN))
    assert "could not be measured at any length" in text
    assert "What is fast?" not in text and "of one training step (forward" not in text


@needs_tex
@needs_pdftotext
def test_one_seed_excuses_itself(tmp_path: Path):
    config = to_mapping(PLAN)
    config["experiments"]["comparison"] |= {"seeds": 1, "augmented": True}
    plan = crafted_results.from_mapping(config)
    text = part_two(crafted.typeset(make(tmp_path / "demo", plan), plan))
    assert "with 1 seed each" in text and "of one seed, so without an interval" in text
    assert "With one seed no methods can be told apart" in text and "1 seeds" not in text
    assert "with augmentation" in text and "there is no interval, because there is one seed" in text


@needs_tex
@needs_pdftotext
def test_on_shd_it_does_not_excuse_itself(tmp_path: Path):
    plan = crafted_results.plan("paper")
    found = pages(crafted.typeset(make(tmp_path / "paper", plan), plan))
    assert all("not SHD" not in page for page in found)
    assert "430 networks" in " ".join(found)


@needs_tex
def test_equal_results_give_equal_bytes_wherever_they_lie(full_pdf: Path, tmp_path: Path):
    again = crafted.typeset(make(tmp_path / "an other place" / "demo", drawn=True), PLAN)
    assert again.read_bytes() == full_pdf.read_bytes()


@pytest.mark.parametrize("name", [*COMPARISON_PARTS, FULL_REPORT.macros])
def test_a_missing_part_is_named(full: Path, tmp_path: Path, name: str):
    folder = Path(shutil.copytree(full, tmp_path / "demo"))
    (folder / name).unlink()
    with pytest.raises(SpsnError, match=rf"{re.escape(name)}: is missing; make it with `snakemake"):
        build_pdf(folder, crafted_results.TEX, folder / "report/full_report.pdf", FULL_REPORT)


@pytest.mark.parametrize("name", ["tables/comparison_runs.csv", "timing/methods.csv", FULL_REPORT.provenance])
def test_a_missing_file_is_named(full: Path, tmp_path: Path, name: str):
    folder = Path(shutil.copytree(full, tmp_path / "demo"))
    (folder / name).unlink()
    with pytest.raises(SpsnError, match=rf"{re.escape(name)}: is missing; make it with `snakemake"):
        write_macros(folder, PLAN, folder / FULL_REPORT.macros, FULL_REPORT)


@needs_tex
def test_the_command_makes_either_report(full: Path, tmp_path: Path):
    folder = Path(shutil.copytree(full, tmp_path / "demo"))
    write_json(folder / "settings.json", to_mapping(PLAN))
    shared = ["report", "--settings", str(folder / "settings.json"), "--results", str(folder)]
    shared += ["--source", str(crafted_results.TEX)]
    for option, edition in (([], REPORT), (["--with-comparison"], FULL_REPORT)):
        out = folder / "made" / f"{len(option)}.pdf"
        assert cli.main([*shared, *option, "--out", str(out)]) == 0
        assert out.stat().st_size > 10_000 and (folder / edition.macros).is_file()
    assert (folder / "made/1.pdf").stat().st_size > (folder / "made/0.pdf").stat().st_size
    assert switches(folder)["comparison"] is False  # report/macros.tex stays the ordinary report's


def test_the_option_is_off_by_itself():
    options = cli.parser().parse_args(["report", "--settings", "s", "--results", "r", "--out", "o"])
    assert isinstance(options, argparse.Namespace) and options.with_comparison is False
    assert options.run is commands.report
