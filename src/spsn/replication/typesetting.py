"""From report.tex, macros, tables and figures to a PDF, with whatever TeX the machine has.

Equal results give equal bytes with one version of TeX: report.tex keeps identifiers, dates and file names out
of the PDF, and it is compiled in a temporary folder laid out like `results/<name>/`, so that no path can
enter.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spsn import manifest
from spsn.errors import RecordError, SpsnError
from spsn.files import whole_file
from spsn.replication.making import make_command

DEBIAN_PACKAGES = (
    "latexmk",
    "texlive-latex-base",
    "texlive-latex-recommended",
    "texlive-fonts-recommended",
)


def _parts(notebooks: Iterable[manifest.Notebook]) -> tuple[str, ...]:
    """Of what notebooks make, the files that report.tex takes."""
    files = (path for notebook in notebooks for path in notebook.files)
    return tuple(path for path in files if path.endswith((".pdf", ".tex")))


PARTS = _parts(manifest.NOTEBOOKS)
COMPARISON_PARTS = _parts(manifest.COMPARISON_NOTEBOOKS)
OPTIONAL = _parts(manifest.GOLDEN_NOTEBOOKS)  # only where the authors' own networks were tried
BESIDE = ("golden.tex", "references.bib")  # what report.tex has beside it
_LATEXMK = ("latexmk", "-norc", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error")
_TECTONIC = ("tectonic", "--keep-logs", "--chatter", "minimal")
_TIMEOUT = 600  # seconds; latexmk needs a few, tectonic fetches its packages the first time
_LOG_LINES = 25


@dataclass(frozen=True)
class Edition:
    """One report of a results folder: its macros and provenance there, the parts that it is made of, and what
    report.tex has beside it; whether it has part II.

    Each edition has macros and provenance of its own, so that both can be made at once.
    """

    macros: str
    provenance: str
    parts: tuple[str, ...]
    beside: tuple[str, ...]
    comparison: bool


REPORT = Edition(manifest.MACROS, manifest.PROVENANCE, PARTS, BESIDE, comparison=False)
FULL_REPORT = Edition(
    manifest.FULL_MACROS,
    manifest.FULL_PROVENANCE,
    PARTS + COMPARISON_PARTS,
    (*BESIDE, "comparison.tex"),
    comparison=True,
)


def build_pdf(
    results: str | Path, tex_source: str | Path, out_pdf: str | Path, edition: Edition = REPORT
) -> None:
    """Typeset report.tex with macros, tables and figures of `results` into `out_pdf`, which appears whole.

    Beside `tex_source` lie the files that the edition names. Raises `RecordError` for a missing part of the
    results, `SpsnError` where there is no TeX, or with TeX's own words where it fails.
    """
    results, tex_source = Path(results), Path(tex_source)
    sources = (tex_source, *map(tex_source.with_name, edition.beside))
    _require(results, (edition.macros, *edition.parts), sources)
    command = [*_tex(), tex_source.name]
    with tempfile.TemporaryDirectory(prefix="spsn-report-") as build:
        for name in (*edition.parts, *(name for name in OPTIONAL if (results / name).is_file())):
            (Path(build) / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(results / name, Path(build) / name)
        folder = Path(build) / "report"
        folder.mkdir()
        shutil.copyfile(results / edition.macros, folder / "macros.tex")
        for source in sources:
            shutil.copyfile(source, folder / source.name)
        _run(command, folder, tex_source.name)
        with whole_file(out_pdf) as temporary:
            shutil.copyfile(folder / f"{tex_source.stem}.pdf", temporary)


def _require(results: Path, parts: Iterable[str], sources: Iterable[Path]) -> None:
    for name in parts:
        if not (results / name).is_file():
            raise RecordError(f"{results / name}: is missing; make it with {make_command(results, name)}")
    for source in sources:
        if not source.is_file():
            raise SpsnError(f"{source}: is missing; it belongs to the repository, folder paper/")


def _tex() -> tuple[str, ...]:
    """latexmk with pdflatex or, where only conda's TeX is there, tectonic."""
    if shutil.which("latexmk") and shutil.which("pdflatex"):
        return _LATEXMK
    if shutil.which("tectonic"):
        return _TECTONIC
    raise SpsnError(
        "the report needs TeX (latexmk and pdflatex), which is not on this machine; on Debian or Ubuntu "
        f"install it with: sudo apt-get install --no-install-recommends {' '.join(DEBIAN_PACKAGES)}"
    )


def _run(command: list[str], folder: Path, name: str) -> None:
    """Run TeX in `folder`. Raises `SpsnError` with the part of the log that tells what failed."""
    # A wider log: TeX breaks its messages at 79 characters, names of files and macros included.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    options = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "timeout": _TIMEOUT}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    except subprocess.TimeoutExpired as error:
        raise SpsnError(f"{name}: {command[0]} did not end within {_TIMEOUT} s; it was stopped") from error
    if done.returncode != 0:
        raise SpsnError(f"{name}: {command[0]} failed:\n{_relevant(folder, name, done.stdout)}")


def _relevant(folder: Path, name: str, output: bytes) -> str:
    """The lines that tell what is wrong: from the first error of the log on, else the program's last ones."""
    log = folder / Path(name).with_suffix(".log")
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = text.partition("Here is how much of TeX's memory")[0].splitlines()
    wrong = [i for i, line in enumerate(lines) if re.match(r"!|\S+:\d+: ", line)]
    if wrong:
        return "\n".join(lines[wrong[0] :][:_LOG_LINES])
    return "\n".join(output.decode("utf-8", errors="replace").splitlines()[-_LOG_LINES:])
