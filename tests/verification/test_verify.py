"""`spsn verify`: a whole folder agrees; each single change is one line about its file, and exit code 1.

Pictures and PDF that the same versions made are in test_workflow.py, which has real ones.
"""

import io
import json
import os
import resource
import shutil
from pathlib import Path

import crafted_folder
import crafted_results as crafted
import pytest
from matplotlib.figure import Figure

from spsn import provenance
from spsn.cli import main
from spsn.errors import SpsnError
from spsn.files import digest, write_json, write_text
from spsn.replication.digests import code_digest, paper_folder, read_checksums, text_digests
from spsn.replication.report import write_macros
from spsn.replication.typesetting import FULL_REPORT, REPORT
from spsn.verification.bench import DRAWN_WITH, drawn_otherwise, typeset_otherwise, unwarned
from spsn.verification.compare import differences
from spsn.verification.verify import verify

PAPER = crafted_folder.PAPER
RECORD = "runs/accuracy/lif/basic/seed0.json"
SUMS = "report/report.pdf.sha256"
WEIGHTS = "runs/accuracy/lif/basic/seed0.safetensors"
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="TeX is not installed")


@pytest.fixture(scope="module")
def with_part_two(settings, tmp_path_factory) -> Path:
    parent = tmp_path_factory.mktemp("with part two")
    return crafted_folder.write(parent / "demo", settings, typeset=False, comparison=True)


@pytest.fixture
def full_folder(with_part_two: Path, tmp_path: Path) -> Path:
    """A copy of one with part II that a test may damage."""
    return crafted_folder.copy(with_part_two, tmp_path / "demo")


def said(folder: Path, capsys) -> tuple[int, list[str], str]:
    """Exit code, lines on stdout, and what stands on stderr."""
    code = main(["verify", str(folder), "--paper", str(PAPER)])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def replaced(name: str, old: str, new: str):
    """A change of text that the file must hold, at its first place."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        write_text(folder / name, text.replace(old, new, 1))

    return change


def cell(name: str, column: str, value: str, line: int = 1):
    """A change of one cell of a table."""

    def change(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines()
        place, cells = lines[0].split(",").index(column), lines[line].split(",")
        assert cells[place] != value
        cells[place] = value
        write_text(folder / name, "\n".join([*lines[:line], ",".join(cells), *lines[line + 1 :]]) + "\n")

    return change


def flipped(name: str, place: int):
    """One bit of a file the other way."""

    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)

    return change


def linked_out(folder: Path) -> None:
    outside = folder.parent / "outside.csv"
    shutil.move(folder / "tables/table2.csv", outside)
    (folder / "tables/table2.csv").symlink_to(outside)


def linked_folder(folder: Path) -> None:
    (folder / "runs/everything").symlink_to("/")


def piped(folder: Path) -> None:
    (folder / "tables/table1.tex").unlink()
    os.mkfifo(folder / "tables/table1.tex")


def extra_record(folder: Path) -> None:
    shutil.copy(folder / RECORD, folder / "runs/accuracy/lif/basic/seed77.json")


def verdict(folder: Path) -> None:
    replaced("tables/claims.csv", ",not comparable,", ",replicated,")(folder)


def recorded_accuracy(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    record["result"]["test_accuracy"] = 0.99
    write_json(folder / RECORD, record)


def binary(folder: Path) -> None:
    (folder / "tables/runs.csv").write_bytes(b"\xff\x00\n")


def twice(folder: Path) -> None:
    sums = folder / SUMS
    write_text(sums, sums.read_text() + sums.read_text().splitlines()[0] + "\n")


def unnamed(folder: Path) -> None:
    files = json.loads((folder / "provenance.json").read_text())["files"]
    del files["timing/epoch.csv"]
    crafted.change_json(folder / "provenance.json", files=files)
    crafted_folder.renew(folder)


def lengthened(folder: Path) -> None:
    with open(folder / "tables/table2.csv", "a") as file:
        file.write("lif,basic\n" * 200_000)


def gone(name: str):
    return lambda folder: (folder / name).unlink()


def damaged(name: str, content: str = '{"half": '):
    return lambda folder: write_text(folder / name, content)


CHANGES = {
    "table 2": (cell("tables/table2.csv", "model", "lif2"), "tables/table2.csv", "expected 'lif'"),
    "runs": (cell("tables/runs.csv", "test_accuracy", "0.5"), "tables/runs.csv", "'0.5', expected '0.62'"),
    "tex": (replaced("tables/table1.tex", "20", "21"), "tables/table1.tex", "21"),
    "macros": (replaced("report/macros.tex", r"Classes}{20}", "Classes}{10}"), "report/macros.tex", "line"),
    "verdict": (verdict, "tables/claims.csv", "'replicated', expected 'not comparable'"),
    "timing": (cell("timing/epoch.csv", "seconds_per_epoch", "1.0"), "timing/epoch.csv", "sha256"),
    "trials": (cell("robustness/trials.csv", "predicted", "9"), "robustness/trials.csv", "sha256"),
    "record": (recorded_accuracy, RECORD, "sha256"),
    "weight": (flipped(WEIGHTS, -1), WEIGHTS, "sha256"),
    "figure": (gone("figures/figure4.pdf"), "figures/figure4.pdf", "is missing"),
    "picture": (flipped("figures/figure2.pdf", 100), "figures/figure2.pdf", "sha256"),
    "report": (flipped("report/report.pdf", 6), "report/report.pdf", "sha256"),
    "no report": (gone("report/report.pdf"), "report/report.pdf", "is missing"),
    "no sums": (gone(SUMS), SUMS, "is missing"),
    "sums twice": (twice, SUMS, "names 'report.pdf' twice"),
    "endless sums": (damaged(SUMS, "0" * 10**6), SUMS, "larger than any file of this kind"),
    "other sums": (replaced(SUMS, "macros", "more"), SUMS, "names ../provenance.json, more.tex, report.pdf"),
    "unnamed": (unnamed, "timing/epoch.csv", "is not named in provenance.json"),
    "long table": (lengthened, "tables/table2.csv", "bytes, expected"),
    "sums": (damaged(SUMS, "what?\n"), SUMS, "no line"),
    "extra": (extra_record, "runs/accuracy/lif/basic/seed77.json", "is no result"),
    "no record": (gone(RECORD), RECORD, "is missing"),
    "link": (linked_out, "tables/table2.csv", "leads out of the folder"),
    "linked folder": (linked_folder, "runs/everything", "is no result"),
    "pipe": (piped, "tables/table1.tex", "is not a plain file"),
    "damaged record": (damaged(RECORD), RECORD, "sha256"),
    "damaged data": (damaged("data.json"), "data.json", "sha256"),
    "damaged settings": (damaged("settings.json"), "settings.json", "cannot be read as JSON"),
    "deep settings": (damaged("settings.json", "[" * 10**5), "settings.json", "cannot be read"),
    "provenance": (damaged("provenance.json"), "provenance.json", "cannot be read as JSON"),
    "commands": (replaced("provenance.json", "spsn data", "spsn date"), "provenance.json", "sha256"),
    "no table": (gone("tables/runs.csv"), "tables/runs.csv", "is missing"),
    "binary table": (binary, "tables/runs.csv", "cannot be read"),
}  # fmt: skip


def test_a_whole_folder_agrees(folder: Path, capsys) -> None:
    code, lines, err = said(folder, capsys)
    assert (code, err) == (0, "")
    assert len(lines) == 1 and "all agrees" in lines[0] and "46 run records, 46 weights" in lines[0]
    assert "drawn with matplotlib 0.0" in lines[0]


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_one_line(name: str, folder: Path, capsys) -> None:
    change, file, text = CHANGES[name]
    change(folder)
    code, lines, err = said(folder, capsys)
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{file}: ") and text in lines[0]
    assert "1 mismatch" in err and "Traceback" not in err


def test_names_that_would_steer_a_terminal_are_written_plainly(folder: Path) -> None:
    (folder / "tables/\x1b[2J\n.csv").write_text("")
    (line,) = verify(folder, PAPER).lines
    assert line == "tables/?[2J .csv: is no result of these settings"


def test_no_folder_and_no_paper_are_said(tmp_path: Path, capsys) -> None:
    assert main(["verify", str(tmp_path / "nothing")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--paper", str(tmp_path)]) == 1
    assert "--paper" in capsys.readouterr().err


def test_a_folder_of_the_name_paper_need_not_be_the_repositorys(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "paper").mkdir()
    monkeypatch.chdir(tmp_path)
    assert paper_folder() == PAPER


def test_a_folder_is_verified_wherever_it_lies(folder: Path, capsys, monkeypatch) -> None:
    folder.rename(folder.parent / "under another name")
    monkeypatch.chdir(folder.parent)
    assert main(["verify", "under another name/"]) == 0
    monkeypatch.chdir("under another name")
    assert main(["verify", "."]) == 0
    assert "all agrees" in capsys.readouterr().out


def test_what_a_terminal_has_no_letters_for_is_shown_as_its_code(folder: Path, monkeypatch) -> None:
    (folder / "tables/fünf.csv").write_text("")
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    assert main(["verify", str(folder)]) == 1
    out.flush()
    assert out.buffer.getvalue() == rb"tables/f\xfcnf.csv: is no result of these settings" + b"\n"


def test_a_full_disk_is_no_fault_of_the_folder(folder: Path) -> None:
    """Files may have 20 kB: the provenance has more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(SpsnError, match="cannot be written.*ulimit -f"):
            verify(folder, PAPER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_in_which_nothing_was_made_names_those_that_hold_results(
    folder: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "data").mkdir()
    for empty in (tmp_path, tmp_path / "data"):
        code, lines, err = said(empty, capsys)
        assert (code, lines) == (1, [])
        assert err == (
            f"spsn: {empty}: holds no results (no settings.json, no provenance.json); name one of: {folder}\n"
        )
    (tmp_path / "data/inner").mkdir()
    assert "name a folder that does, such as results/demo" in said(tmp_path / "data/inner", capsys)[2]


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(SpsnError, match=r"settings\.json: is a file; name the folder"):
        verify(folder / "settings.json", PAPER)


def test_what_was_not_made_is_not_called_another_versions(folder: Path, capsys) -> None:
    (folder / "provenance.json").unlink()
    write_text(folder / "settings.json", "{")
    _, lines, err = said(folder, capsys)
    assert "provenance.json: is missing" in lines and "another version" not in err


def test_runs_of_a_larger_grid_are_left_from_another_configuration(folder: Path, capsys) -> None:
    extra_record(folder)
    _, lines, err = said(folder, capsys)
    assert lines == ["runs/accuracy/lif/basic/seed77.json: is no result of these settings"]
    assert "left from another configuration" in err and "a `name` of its own" in err
    assert "restore" not in err


def test_how_to_restore_names_the_command_that_made_the_folder(
    full_folder: Path, capsys, monkeypatch
) -> None:
    folder = full_folder
    (folder / WEIGHTS).unlink()
    (folder.parent / "results").mkdir()
    folder.rename(folder.parent / "results/demo")
    monkeypatch.chdir(folder.parent)
    _, lines, err = said(Path("results/demo"), capsys)
    assert lines == [f"{WEIGHTS}: is missing"] and "a `name` of its own" not in err
    assert (
        "delete the files named above and provenance.json, report/report.pdf, report/full_provenance.json, "
        "report/full_report.pdf, then run `snakemake results/demo/report/report.pdf --cores all"
    ) in err
    assert "and `snakemake results/demo/report/full_report.pdf --cores all" in err
    monkeypatch.chdir("results")
    assert "run the workflow for report/report.pdf with the configuration" in said(Path("demo"), capsys)[2]


def test_letters_that_the_fonts_lack_are_no_matter(caplog) -> None:
    def draw() -> None:
        figure = Figure()
        figure.text(0.5, 0.5, "\u6570 $\u6570$")
        figure.savefig(io.BytesIO(), format="png")

    with unwarned():
        draw()
    assert caplog.messages == []
    draw()
    assert caplog.messages


def test_what_rests_on_a_faulty_record_is_still_held_against_the_table_of_runs(folder: Path) -> None:
    recorded_accuracy(folder)
    cell("tables/table2.csv", "mean", "1.5")(folder)
    lines = verify(folder, PAPER).lines
    assert [line.partition(":")[0] for line in lines] == [RECORD, "tables/table2.csv"]
    assert "'1.5', expected " in lines[1]


def test_only_the_lines_of_sound_records_are_compared(folder: Path, settings) -> None:
    recorded_accuracy(folder)
    cell("tables/runs.csv", "test_accuracy", "0.5", line=5)(folder)
    lines = verify(folder, PAPER).lines
    assert lines[0].startswith(f"{RECORD}: sha256")
    assert [line for line in lines if line.startswith("tables/runs.csv: ")] and len(lines) == 2


def test_part_two_is_verified_where_it_stands(full_folder: Path) -> None:
    folder = full_folder
    assert verify(folder, PAPER).lines == []
    cell("tables/comparison.csv", "accuracy", "12.5")(folder)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("tables/comparison.csv: line 1, accuracy: '12.5', expected ")
    (folder / FULL_REPORT.provenance).unlink()
    assert f"{FULL_REPORT.provenance}: is missing" in verify(folder, PAPER).lines


def test_part_two_without_its_report_is_not_passed_over_in_silence(full_folder: Path) -> None:
    folder = full_folder
    for name in (FULL_REPORT.provenance, FULL_REPORT.macros, "report/full_report.pdf"):
        (folder / name).unlink()
    (folder / "report/full_report.pdf.sha256").unlink()
    found = verify(folder, PAPER)
    assert found.lines == [] and "files of part II (its report is not there)" in found.summary


def test_pictures_of_either_report_may_be_drawn_by_other_versions(settings, full_folder: Path) -> None:
    """Part II may be made later than part I: what drew the one need not have drawn the other."""
    folder = full_folder
    crafted.change_json(folder / REPORT.provenance, versions=provenance.versions())
    write_macros(folder, settings, folder / REPORT.macros)
    crafted_folder.renew(folder)
    found = verify(folder, PAPER)
    assert found.lines == [] and "drawn with matplotlib 0.0" in found.summary


def here() -> dict:
    """What a provenance written here says of code, versions and machine."""
    about = {"code": code_digest(), "paper": text_digests(PAPER), "tex": provenance.tex_version()}
    return about | {"versions": provenance.versions(), "machine": provenance.machine()}


@pytest.mark.parametrize("name", DRAWN_WITH)
def test_pictures_are_bound_to_all_that_draws_them(name: str) -> None:
    about = here()
    assert {"pillow", "fonttools", "zlib"} <= set(about["versions"])
    assert drawn_otherwise(about, PAPER) == ""
    about["versions"][name] = "0"
    assert drawn_otherwise(about, PAPER).startswith(f"drawn with {name} 0, here ")
    del about["versions"][name]
    assert drawn_otherwise(about, PAPER).startswith(f"drawn with {name} unknown, here ")


def test_another_version_of_the_package_is_named_by_its_commit() -> None:
    about = here() | {"code": "", "git_commit": "c0ffee-dirty"}
    assert drawn_otherwise(about, PAPER) == "made by another version of this package, commit c0ffee-dirty"
    assert drawn_otherwise(here() | {"machine": {}}, PAPER) == "drawn on another machine"
    assert "does not say" in drawn_otherwise({}, PAPER)


@needs_tex
def test_a_report_is_bound_to_tex_and_its_distribution() -> None:
    about = here()
    assert typeset_otherwise(about) == ""
    assert typeset_otherwise(about | {"tex": None}).startswith("typeset with unknown TeX, here ")
    about["machine"]["distribution"] = "Plan 9"
    assert typeset_otherwise(about).startswith("typeset on Plan 9, here ")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("a,b\n1,x\n", []),
        ("a,b\n1.00000000000001,x\n", []),
        ("a,b\n1.0001,x\n", ["line 1, a: '1.0001', expected '1'"]),
        ("a,b\n1,y\n", ["line 1, b: 'y', expected 'x'"]),
        ("a,b\n", ["0 lines, expected 1"]),
        ("a,c\n1,x\n", ["columns 'a,c', expected 'a,b'"]),
        ("a,b\n1,x,z\n", ["line 1, 3: 'z', expected ''"]),
        ("a,b\n1,x" + "y" * 70 + "\n", ["line 1, b: 'x" + "y" * 56 + "...', expected 'x'"]),
    ],
)
def test_tables_are_compared_by_value(found: str, wanted: list[str], tmp_path: Path) -> None:
    (tmp_path / "found").write_text(found)
    (tmp_path / "expected").write_text("a,b\n1,x\n")
    assert differences("t.csv", tmp_path / "found", tmp_path / "expected") == wanted


def test_of_long_texts_the_place_where_they_differ_is_shown(tmp_path: Path) -> None:
    for name, cell in (("found", "good"), ("expected", "bad")):
        (tmp_path / name).write_text(f"verdict\n{'the same ' * 20}{cell} end\n")
    (line,) = differences("t.csv", tmp_path / "found", tmp_path / "expected")
    assert "good end', expected '" in line and line.endswith("bad end'")


def test_checksums_are_those_that_sha256sum_reads(whole: Path) -> None:
    known = read_checksums(whole / "report/report.pdf.sha256")
    assert set(known) == {"report.pdf", "macros.tex", "../provenance.json"}
    assert all(digest(whole / "report" / name) == value for name, value in known.items())
