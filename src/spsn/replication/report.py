"""The report: numbers from result files into LaTeX macros, macros and report.tex into a PDF.

The text of the report (`paper/report.tex`) holds no result. Every number it prints is a macro that `write_macros`
writes from the files below `results/<name>/`, or stands in a table or figure made from them, so a number can always be
followed to its file, and a file to its command (`provenance.json`).

Equal results give equal bytes: no date, no path and no identifier drawn at random enters the PDF.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spsn import provenance
from spsn.errors import RecordError, SpsnError
from spsn.files import whole_file, write_json, write_text
from spsn.replication import latex
from spsn.replication.facts.accuracy import accuracy_macros
from spsn.replication.facts.claims import claims_macros
from spsn.replication.facts.data import data_macros
from spsn.replication.facts.machine import machine_macros
from spsn.replication.facts.protocol import protocol_macros, trained_less
from spsn.replication.facts.robustness import robustness_macros
from spsn.replication.facts.timing import epoch_macros, length_macros
from spsn.replication.figures.source import make_command, read_table
from spsn.replication.protocol import differences
from spsn.settings import DatasetFiles, Settings, to_mapping

DEBIAN_PACKAGES = (
    "latexmk",
    "texlive-latex-base",
    "texlive-latex-recommended",
    "texlive-fonts-recommended",
)
PARTS = (
    *(f"figures/figure{number}.pdf" for number in range(1, 7)),
    *(f"tables/{name}.tex" for name in ("claims", "table1", "table2")),
)
_TIMEOUT = 300  # seconds; the report compiles in a few
_LOG_LINES = 25


def write_provenance(
    results: str | Path, settings: Settings, out: str | Path, commands: Iterable[str]
) -> None:
    """Write `provenance.json`: configuration, facts of the data, machine, versions, commit, the commands.

    `training` lists, each once, the machines, versions and commits that the run records below `results` name, since
    runs may have been trained elsewhere. Raises `RecordError` if `data.json` or a record cannot be read.
    """
    results = Path(results)
    write_json(
        out,
        {
            "config": to_mapping(settings),
            "data": _read_json(results, "data.json"),
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "git_commit": provenance.git_commit(),
            "commands": list(commands),
            "training": _trained_with(results),
        },
    )


def _trained_with(results: Path) -> dict[str, list]:
    found: dict[str, list] = {"machines": [], "versions": [], "git_commits": []}
    for path in sorted((results / "runs").glob("*/*/*/seed*.json")):
        execution = _read_json(results, str(path.relative_to(results)))["execution"]
        for key, part in (("machines", "machine"), ("versions", "versions"), ("git_commits", "git_commit")):
            if execution[part] not in (None, *found[key]):
                found[key].append(execution[part])
    return found


def write_macros(results: str | Path, settings: Settings, out: str | Path) -> None:
    """Write every number that report.tex prints as LaTeX macros to `out` (`report/macros.tex`).

    Raises `RecordError` naming a file that is missing or damaged and the command that makes it.
    """
    results = Path(results)
    macros, switches = _facts(results, settings)
    head = f"% Made by `spsn` from the result files of configuration {settings.name!r}: do not edit.\n"
    write_text(out, head + latex.definitions(macros, switches))


def _facts(results: Path, settings: Settings) -> tuple[dict[str, str], dict[str, bool]]:
    """Every macro and every switch of the report."""

    def table(name: str) -> Any:
        return read_table(results / name, how=make_command(results, name))

    data, runs = _read_json(results, "data.json"), table("tables/runs.csv")
    classes = int(data["splits"]["test"]["classes"])
    found = differences(settings)
    epoch, epoch_switches = epoch_macros(table("timing/epoch.csv"))
    length, length_switches = length_macros(table("timing/sequence_length.csv"))
    accuracy, accuracy_switches = accuracy_macros(runs, classes)
    macros = {
        **data_macros(settings, data),
        **protocol_macros(settings, found),
        **accuracy,
        **robustness_macros(table("robustness/trials.csv"), table("robustness/test_set.csv")),
        **epoch,
        **length,
        **claims_macros(table("tables/claims.csv")),
        **machine_macros(_read_json(results, "provenance.json")),
    }
    return macros, {
        "shd": settings.is_shd,
        "partofshd": settings.dataset == "shd" and not settings.is_shd,
        "syntheticdigits": settings.dataset == "synthetic-digits",
        "ownfiles": isinstance(settings.dataset, DatasetFiles),
        "reduced": bool(found),
        "trainedless": trained_less(found),
        **accuracy_switches,
        **epoch_switches,
        **length_switches,
    }


def _read_json(results: Path, name: str) -> Any:
    path, how = results / name, make_command(results, name)
    if not path.is_file():
        raise RecordError(f"{path}: is missing; make it with {how}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({error}); make it again with {how}") from error


def build_pdf(results: str | Path, tex_source: str | Path, out_pdf: str | Path) -> None:
    """Typeset report.tex with the macros, tables and figures of `results` into `out_pdf`, which appears whole.

    `tex_source` has references.bib beside it. It is compiled in a temporary folder laid out like `results` (report/,
    figures/, tables/), so that neither its place nor that of the results can show in the PDF.

    Raises `RecordError` for a missing part, `SpsnError` where there is no TeX or where it fails, with TeX's own words.
    """
    results, tex_source = Path(results), Path(tex_source)
    sources = (tex_source, tex_source.with_name("references.bib"))
    _require(results, sources)
    if shutil.which("latexmk") is None or shutil.which("pdflatex") is None:
        raise SpsnError(
            "the report needs TeX (latexmk and pdflatex), which is not on this machine; on Debian or Ubuntu install "
            f"it with: sudo apt-get install --no-install-recommends {' '.join(DEBIAN_PACKAGES)}"
        )
    with tempfile.TemporaryDirectory(prefix="spsn-report-") as build:
        folder = Path(build) / "report"
        for name in (*PARTS, "report/macros.tex"):
            (Path(build) / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(results / name, Path(build) / name)
        for source in sources:
            shutil.copyfile(source, folder / source.name)
        _typeset(folder, tex_source.name)
        with whole_file(out_pdf) as temporary:
            shutil.copyfile(folder / f"{tex_source.stem}.pdf", temporary)


def _require(results: Path, sources: Iterable[Path]) -> None:
    for name in (*PARTS, "report/macros.tex"):
        if not (results / name).is_file():
            raise RecordError(f"{results / name}: is missing; make it with {make_command(results, name)}")
    for source in sources:
        if not source.is_file():
            raise SpsnError(f"{source}: is missing; it belongs to the repository, folder paper/")


def _typeset(folder: Path, name: str) -> None:
    """Run latexmk in `folder`. Raises `SpsnError` with the part of the log that tells what failed."""
    command = [
        "latexmk",
        "-norc",
        "-pdf",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-file-line-error",
        name,
    ]
    # A wider log: TeX breaks its messages at 79 characters, paths and macro names included.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise SpsnError(
            f"{name}: TeX did not end within {_TIMEOUT} s; is a table or figure of the results endless?"
        ) from error
    if done.returncode != 0:
        raise SpsnError(f"{name}: TeX failed:\n{_relevant(folder, name, done.stdout)}")


def _relevant(folder: Path, name: str, output: bytes) -> str:
    """The lines of TeX's log that tell what is wrong: errors with what follows, else the end."""
    log = folder / Path(name).with_suffix(".log")
    text = (log.read_bytes() if log.is_file() else output).decode("utf-8", errors="replace")
    lines = text.partition("Here is how much of TeX's memory")[0].splitlines()
    wrong = [i for i, line in enumerate(lines) if re.match(r"!|\S+:\d+: ", line)]
    return "\n".join(lines[wrong[0] :][:_LOG_LINES] if wrong else lines[-_LOG_LINES:])
