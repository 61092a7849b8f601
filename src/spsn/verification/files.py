"""Whether the files of a results folder are there, plain, and those that its provenance names by digest."""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from spsn import manifest
from spsn.errors import RecordError
from spsn.replication.digests import checksum_path, read_checksums
from spsn.replication.typesetting import FULL_REPORT, REPORT, Edition
from spsn.settings import Settings
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder

PDFS = {REPORT: manifest.REPORT, FULL_REPORT: manifest.FULL_REPORT}
STRANGER = "is no result of these settings"
LARGEST_SUMS = 2**16  # bytes; three lines of sha256sum have 300


def editions(folder: ResultsFolder) -> list[Edition]:
    """The reports that the folder claims to hold: part II only where a file of it stands."""
    pdf = PDFS[FULL_REPORT]
    full = any(map(folder.holds, (FULL_REPORT.provenance, FULL_REPORT.macros, pdf, f"{pdf}.sha256")))
    return [REPORT, FULL_REPORT] if full else [REPORT]


def expected_files(settings: Settings, edition: Edition) -> list[str]:
    """What the provenance of an edition is to name."""
    return manifest.report_files(settings) + edition.comparison * manifest.comparison_files(settings)


def read_provenance(folder: ResultsFolder, edition: Edition, findings: Findings) -> dict:
    """An edition's provenance; what lacks or is damaged is found, and empty."""
    try:
        content = folder.json(edition.provenance)
    except RecordError as error:
        findings.add(edition.provenance, str(error))
        return {}
    files = content.get("files")
    if not files or not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        findings.add(edition.provenance, "has no digests of files; made by an older version of this package")
        content["files"] = {}
    return content


def check_reports(folder: ResultsFolder, found: Iterable[Edition], findings: Findings) -> dict[str, str]:
    """Hold each report and its provenance against the digests beside it; return those of the macros, which
    are to be made again first.
    """
    macros = {}
    for edition in found:
        pdf = PDFS[edition]
        sums = checksum_path(PurePosixPath(pdf)).as_posix()
        named = {
            name: posixpath.relpath(name, "report") for name in (pdf, edition.macros, edition.provenance)
        }
        for name in (sums, *named):
            if not findings.about(name) and (reason := folder.unfit(name)):
                findings.add(name, reason)
        known = _sums(folder, sums, set(named.values()), findings)
        digests = {name: known[short] for name, short in named.items() if short in known}
        macros |= {name: value for name, value in digests.items() if name == edition.macros}
        check_digests(folder, [name for name in digests if name != edition.macros], digests, sums, findings)
    return macros


def _sums(folder: ResultsFolder, name: str, wanted: set[str], findings: Findings) -> dict[str, str]:
    """The digests beside a report; none where anything is wrong with them."""
    if findings.about(name):
        return {}
    try:
        if folder.size(name) > LARGEST_SUMS:
            raise ValueError("larger than any file of this kind")
        known = read_checksums(folder.path / name)
    except (OSError, ValueError) as error:
        findings.add(name, f"cannot be read ({error})")
        return {}
    if set(known) != wanted:
        findings.add(name, f"names {', '.join(sorted(known))}, expected {', '.join(sorted(wanted))}")
        return {}
    return known


def check_names(folder: ResultsFolder, settings: Settings, expected: list[str], findings: Findings) -> None:
    """Find expected files that are missing, no plain files or too large, and others among the results.

    Files of part II that no report here rests on may be work in progress: nothing says what they should be.
    """
    for name in expected:
        if not findings.about(name) and (reason := folder.unfit(name) or folder.overlong(name)):
            findings.add(name, reason)
    allowed, wanted, beyond = set(expected_files(settings, FULL_REPORT)), set(expected), 0
    for name in folder.names(manifest.HOLDING):
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if name not in allowed and not hidden:
            findings.add(name, STRANGER)
        beyond += name in allowed and name not in wanted
    if beyond:
        findings.left_out.append(f"{beyond} files of part II (its report is not there)")


def check_digests(
    folder: ResultsFolder, names: Iterable[str], known: Mapping[str, str], by: str, findings: Findings
) -> None:
    """Hold files against the digests that the file `by` names; one that it does not name is found."""
    for name in names:
        if findings.about(name) or not known:
            continue
        if name not in known:
            findings.add(name, f"is not named in {by}")
            continue
        try:
            found = folder.digest(name)
        except OSError as error:
            findings.add(name, f"cannot be read ({error})")
            continue
        findings.checked["digests"] += 1
        if found != known[name]:
            findings.add(name, f"sha256 {found[:12]}..., expected {known[name][:12]}... ({by})")
