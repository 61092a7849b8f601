"""`spsn verify`: a whole folder agrees; each single change is one line about its file, and exit code 1."""

import json
import os
import shutil
from pathlib import Path

import crafted_folder
import crafted_results as crafted
import pytest

from spsn.cli import main
from spsn.files import digest, write_json, write_text
from spsn.replication.digests import read_checksums, write_checksums
from spsn.replication.typesetting import FULL_REPORT, REPORT
from spsn.verification.compare import differences
from spsn.verification.verify import verify

PAPER = crafted_folder.PAPER
RECORD = "runs/accuracy/lif/basic/seed0.json"
WEIGHTS = "runs/accuracy/lif/basic/seed0.safetensors"
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="TeX is not installed")


@pytest.fixture(scope="module")
def settings():
    return crafted.plan("demo")


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory) -> Path:
    return crafted_folder.write(tmp_path_factory.mktemp("whole") / "demo", settings, typeset=False)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return crafted_folder.copy(whole, tmp_path / "demo")


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
    "no sums": (gone("report/report.pdf.sha256"), "report/report.pdf.sha256", "is missing"),
    "sums": (damaged("report/report.pdf.sha256", "what?\n"), "report/report.pdf.sha256", "no line"),
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


def forged(folder: Path, settings, change) -> None:
    """A change whose maker wrote the digests anew too."""
    change(folder)
    files = json.loads((folder / "provenance.json").read_text())["files"]
    files = {name: digest(folder / name) for name in files}
    crafted.change_json(folder / "provenance.json", files=files)
    write_checksums(folder / "report/report.pdf", (folder / REPORT.macros, folder / REPORT.provenance))


def test_a_provenance_without_digests_is_found(folder: Path, settings) -> None:
    crafted.change_json(folder / "provenance.json", files={})
    write_checksums(folder / "report/report.pdf", (folder / REPORT.macros, folder / REPORT.provenance))
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("provenance.json: has no digests of files")


def test_settings_of_more_runs_than_anyone_trains_are_refused(folder: Path) -> None:
    content = json.loads((folder / "settings.json").read_text())
    content["experiments"]["accuracy"]["seeds"] = 10**12
    write_json(folder / "settings.json", content)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("settings.json: ") and "seeds" in line


def test_new_digests_do_not_hide_another_accuracy(folder: Path, settings) -> None:
    forged(folder, settings, recorded_accuracy)
    found = verify(folder, PAPER)
    assert found.lines == [f"{RECORD}: test_accuracy 0.99, expected 124 of 200"]


def test_new_digests_do_not_hide_other_hits(folder: Path, settings) -> None:
    """A record that agrees with itself gives other tables than the folder's."""

    def change(folder: Path) -> None:
        record = json.loads((folder / RECORD).read_text())
        record["result"] |= {"test_hits": 190, "test_accuracy": 0.95, "speakers": {}}
        write_json(folder / RECORD, record)

    forged(folder, settings, change)
    lines = verify(folder, PAPER).lines
    assert "tables/runs.csv: line 1, test_accuracy: '0.62', expected '0.95'" in lines
    assert any(line.startswith("tables/table2.csv: ") for line in lines)


def test_new_digests_do_not_hide_other_weights(folder: Path, settings) -> None:
    forged(folder, settings, flipped(WEIGHTS, -1))
    (line,) = verify(folder, PAPER).lines
    assert line.startswith(f"{WEIGHTS}: digest ") and line.endswith("(its record)")


def test_a_record_in_the_place_of_another_is_found(folder: Path, settings) -> None:
    other = RECORD.replace("seed0", "seed1")
    forged(folder, settings, lambda folder: shutil.copy(folder / RECORD, folder / other))
    assert verify(folder, PAPER).lines[0] == f"{other}: is the record of {RECORD}"


def test_hostile_facts_of_the_data_end_in_lines(folder: Path, settings) -> None:
    forged(
        folder,
        settings,
        lambda folder: write_json(folder / "data.json", {"splits": {"test": {"classes": "x"}}}),
    )
    lines = verify(folder, PAPER).lines
    assert lines and all("cannot be made again" in line for line in lines)


def test_names_that_would_steer_a_terminal_are_written_plainly(folder: Path) -> None:
    (folder / "tables/\x1b[2J\n.csv").write_text("")
    (line,) = verify(folder, PAPER).lines
    assert line == "tables/?[2J .csv: is no result of these settings"


def test_no_folder_and_no_paper_are_said(tmp_path: Path, capsys) -> None:
    assert main(["verify", str(tmp_path / "nothing")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--paper", str(tmp_path)]) == 1
    assert "--paper" in capsys.readouterr().err


def test_an_empty_folder_lacks_everything(tmp_path: Path, capsys) -> None:
    code, lines, _ = said(tmp_path, capsys)
    assert code == 1 and "settings.json: is missing" in lines and "provenance.json: is missing" in lines


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


@needs_tex
def test_pictures_and_report_are_made_again_where_the_same_versions_stand(settings, tmp_path: Path) -> None:
    folder = crafted_folder.write(tmp_path / "demo", settings, typeset=True)
    found = verify(folder, PAPER)
    assert found.lines == [] and "not compared" not in found.summary
    forged(folder, settings, flipped("figures/figure2.png", 300))
    forged(folder, settings, flipped("report/report.pdf", 2000))
    assert sorted(line.partition(":")[0] for line in verify(folder, PAPER).lines) == [
        "figures/figure2.png",
        "report/report.pdf",
    ]


def test_part_two_is_verified_where_it_stands(settings, tmp_path: Path) -> None:
    folder = crafted_folder.write(tmp_path / "demo", settings, typeset=False, comparison=True)
    assert verify(folder, PAPER).lines == []
    cell("tables/comparison.csv", "accuracy", "12.5")(folder)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("tables/comparison.csv: line 1, accuracy: '12.5', expected ")
    (folder / FULL_REPORT.provenance).unlink()
    assert f"{FULL_REPORT.provenance}: is missing" in verify(folder, PAPER).lines


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
    ],
)
def test_tables_are_compared_by_value(found: str, wanted: list[str], tmp_path: Path) -> None:
    (tmp_path / "found").write_text(found)
    (tmp_path / "expected").write_text("a,b\n1,x\n")
    assert differences("t.csv", tmp_path / "found", tmp_path / "expected") == wanted


def test_checksums_are_those_that_sha256sum_reads(whole: Path) -> None:
    known = read_checksums(whole / "report/report.pdf.sha256")
    assert set(known) == {"report.pdf", "macros.tex", "../provenance.json"}
    assert all(digest(whole / "report" / name) == value for name, value in known.items())
