"""What the tests of the report read: its pages, macros and switches, and numbers typed into its text."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spsn.replication import report

HAS_TEX = shutil.which("latexmk") and shutil.which("pdflatex")
needs_tex = pytest.mark.skipif(not HAS_TEX, reason="needs latexmk and pdflatex")
needs_pdftotext = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="needs pdftotext (poppler-utils)"
)


def pages(pdf: Path) -> list[str]:
    """The text of each page, with single spaces."""
    done = subprocess.run(["pdftotext", str(pdf), "-"], check=True, capture_output=True)
    return [" ".join(page.split()) for page in done.stdout.decode().split("\f")[:-1]]


def macros(folder: Path, settings) -> dict[str, str]:
    """The macros of a results folder, by name."""
    report.write_macros(folder, settings, folder / "report/macros.tex")
    text = (folder / "report/macros.tex").read_text()
    assert text.count("\n\\newcommand") == len(re.findall(r"\\newcommand\{\\(\w+)\}", text))
    return dict(re.findall(r"^\\newcommand\{\\(\w+)\}\{(.*?)\}$(?=\n\\new)", text, re.MULTILINE | re.DOTALL))


def switches(folder: Path) -> dict[str, bool]:
    """The switches of a results folder whose macros are written."""
    found = re.findall(
        r"^\\newif\\if(\w+) \\\1(true|false)$", (folder / "report/macros.tex").read_text(), re.MULTILINE
    )
    return {name: value == "true" for name, value in found}


def typed_numbers(text: str) -> list[str]:
    """Lines of the report's body with a number that is no constant, no formula and no name."""
    text = re.sub(r"(?<!\\)%.*", "", text.partition(r"\begin{document}")[2])
    text = re.sub(r"\\begin\{(align|equation)\*?\}.*?\\end\{\1\*?\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\\(paper|const)\{[^{}]*\}", "", text)
    text = re.sub(r"\\(ref|label|cite|input|resultfigure|claimtable|vspace)\{[^{}]*\}", "", text)
    text = re.sub(r"[\d.]*\\(text|line)width|\d\\fbox(sep|rule)|\\\\\[\d+mm\]|tabcolsep\}\{\d+pt", "", text)
    text = re.sub(r"equations? \(\d+\)|Figure 5|CC~BY(-SA)?~4\.0|GPL-3|SHA-256|Wood \(2023\)|V100", "", text)
    text = re.sub(r"temperature[ ~]1\b|1\\,V", "", text)
    # Formulas count with 0, 1 and 2 alone; a result has more digits or a point.
    text = re.sub(r"\$[^$]*\$", lambda m: re.sub(r"(?<![\d.])[012](?![\d.])", "", m.group()), text)
    return [line.strip() for line in text.splitlines() if re.search(r"\d", line)]
