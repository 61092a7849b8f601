"""The workbench of a verification: sound files of a results folder are taken into a temporary one, and others
are made again there from them.

Pictures and PDF have the same bytes only where the same versions draw and typeset them; where they do not,
their digests alone are held against the provenance.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spsn import manifest, provenance
from spsn.errors import SpsnError
from spsn.files import NO_ROOM, error_number, whole_file
from spsn.replication import digests
from spsn.replication.run_table import write_runs
from spsn.replication.typesetting import Edition, build_pdf
from spsn.verification.compare import differences
from spsn.verification.files import PDFS, check_digests
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder
from spsn.verification.recompute import ALWAYS, Place, Step
from spsn.verification.same_runs import shared_differences

# What the bytes of a picture hang on: what computes, lays out and draws, embeds fonts, and compresses.
DRAWN_WITH = ("python", "numpy", "pandas", "scipy", "matplotlib", "seaborn", "kiwisolver", "fonttools",
              "pillow", "zlib")  # fmt: skip
DRAWN_ON = ("system", "architecture")
READ_BY_NOTHING = (".safetensors", ".ipynb")


class Bench:
    """Makes files of `folder` again in `place`; `about` holds the provenance of each report."""

    def __init__(
        self, folder: ResultsFolder, place: Place, about: Mapping[Edition, dict], findings: Findings
    ) -> None:
        self.folder, self.place, self.about, self.findings = folder, place, about, findings
        self.there: set[str] = set()
        self.skipped = 0
        reasons = (drawn_otherwise(content, place.paper) for content in about.values())
        self.foreign = next(filter(None, reasons), "")

    def take(self, names: Iterable[str]) -> None:
        """Copy files with which nothing is wrong."""
        for name in names:
            if self.findings.about(name) or self.folder.unfit(name) or name.endswith(READ_BY_NOTHING):
                continue
            try:
                with whole_file(self.place.folder / name) as temporary:
                    shutil.copyfile(self.folder.path / name, temporary)
            except OSError as error:
                self.findings.add(name, f"cannot be read ({error.strerror})")
                continue
            self.there.add(name)

    def collect(self, records: Iterable[str], sound: Collection[str]) -> None:
        """Make the tables of runs; where a record is not sound, compare the others' lines alone."""
        for table, part_two in ((manifest.RUNS, False), (manifest.COMPARED, True)):
            wanted = {name for name in records if name.startswith("runs/comparison/") is part_two}
            if wanted:
                self._collect(table, sorted(wanted & set(sound)), complete=wanted <= set(sound))

    def _collect(self, table: str, names: list[str], *, complete: bool) -> None:
        paths = [self.place.folder / name for name in names]
        if complete:
            self.make(Step((table,), (), lambda at: write_runs(paths, at.folder / table)))
            return
        if paths:
            self._attempt(table, lambda: self._compare_shared(paths, table))
        for edition, content in self.about.items():
            known = content.get("files", {})
            check_digests(self.folder, {table} & set(known), known, edition.provenance, self.findings)
        self.take([table])

    def _compare_shared(self, records: list[Path], table: str) -> None:
        made = self.place.folder / "some" / table
        write_runs(records, made)
        if not self.findings.about(table):
            self.findings.add(table, *shared_differences(self.folder.path / table, made))

    def make(self, step: Step) -> None:
        """Make the files of a step from sound ones, and hold the folder's against them."""
        if step.drawing and self.foreign:
            return
        if not {*ALWAYS, *step.needs} <= self.there:
            self.skipped += len(step.makes)
            return
        (self.place.folder / step.makes[0]).parent.mkdir(parents=True, exist_ok=True)
        if self._attempt(step.makes[0], lambda: step.make(self.place)):
            self.there |= set(step.makes)
            for name in step.makes:
                self._compare(name)

    def _attempt(self, name: str, make: Callable[[], Any]) -> bool:
        """Whether it was made; what a made-up folder brings about on the way is said of `name`.

        Raises SpsnError where this machine's disk is full, which says nothing of the folder.
        """
        try:
            with unwarned():
                make()
        except Exception as error:
            if isinstance(error, SpsnError) and error_number(error.__cause__ or error) in NO_ROOM:
                raise
            if not self.findings.about(name):
                reason = str(error).replace(str(self.place.folder), str(self.folder.path))
                self.findings.add(name, f"cannot be made again ({type(error).__name__}: {reason})")
            return False
        return True

    def _compare(self, name: str) -> None:
        if self.findings.about(name) or self.folder.unfit(name):
            return
        self.findings.checked["files made again"] += 1
        try:
            found = differences(name, self.folder.path / name, self.place.folder / name)
        except Exception as error:  # no table, no text
            found = [f"cannot be read ({error})"]
        if found:
            self.findings.add(name, *found)

    def typeset(self) -> None:
        """Typeset the reports again where all they are made of was made again, with the same TeX."""
        if self.skipped:
            self.findings.left_out.append(f"{self.skipped} files that rest on faulty ones")
        if self.foreign:
            self.findings.left_out.append(f"pictures and PDF ({self.foreign})")
            return
        for edition, content in self.about.items():
            if reason := typeset_otherwise(content):
                self.findings.left_out.append(f"{PDFS[edition]} ({reason})")
            elif {edition.macros, *edition.parts} <= self.there:
                self._typeset(edition)

    def _typeset(self, edition: Edition) -> None:
        pdf = PDFS[edition]
        source, out = self.place.paper / "report.tex", self.place.folder / pdf
        if not self.findings.about(pdf) and self._attempt(
            pdf, lambda: build_pdf(self.place.folder, source, out, edition)
        ):
            self._compare(pdf)


@contextmanager
def unwarned() -> Iterator[None]:
    """Odd numbers in the folder's tables, and names in letters that the fonts lack, are no mismatch."""
    matplotlib = logging.getLogger("matplotlib")
    before = matplotlib.level
    matplotlib.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        matplotlib.setLevel(before)


def drawn_otherwise(about: Mapping[str, Any], paper: Path) -> str:
    """Why pictures made here need not have the same bytes; empty where they must.

    `about` is the provenance of the folder's, `paper` the repository's folder of that name.
    """
    versions, machine = about.get("versions"), about.get("machine")
    if not isinstance(versions, dict) or not isinstance(machine, dict):
        return "the provenance does not say what drew them"
    if reason := other_package(about, paper):
        return reason
    for name, version in provenance.versions_of(DRAWN_WITH).items():
        if versions.get(name) != version:
            return f"drawn with {name} {versions.get(name, 'unknown')}, here {version}"
    here = provenance.machine()
    return "" if all(machine.get(name) == here[name] for name in DRAWN_ON) else "drawn on another machine"


def other_package(about: Mapping[str, Any], paper: Path) -> str:
    """By which commit of this package a folder was made, where it is not this one; empty where it is.

    Tables may differ between versions, so whoever finds a mismatch has to know.
    """
    if about.get("code") == digests.code_digest() and about.get("paper") == digests.text_digests(paper):
        return ""
    commit = about.get("git_commit")
    return "made by another version of this package" + (
        f", commit {commit[:50]}" if isinstance(commit, str) else ""
    )


def typeset_otherwise(about: Mapping[str, Any]) -> str:
    """Why a report typeset here need not have the same bytes; empty where it must.

    TeX names itself by version, its packages come with the distribution. `about` is a report's provenance,
    of which `drawn_otherwise` has nothing to say.
    """
    wanted, here = about.get("tex"), provenance.tex_version()
    if not here or here != wanted:
        return f"typeset with {wanted or 'unknown TeX'}, here {here or 'none'}"
    wanted, here = about["machine"].get("distribution"), provenance.machine()["distribution"]
    return "" if here == wanted else f"typeset on {wanted}, here {here}"
