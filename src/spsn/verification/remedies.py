"""What a person can do about what a verification found."""

import os
from collections.abc import Iterable
from pathlib import Path

from spsn.errors import SpsnError
from spsn.manifest import PROVENANCE, SETTINGS
from spsn.replication.making import make_command
from spsn.replication.typesetting import Edition
from spsn.verification.files import PDFS, STRANGER
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder

OWN_NAME = (
    "What is no result of these settings is left from another configuration of this name, or was put there: "
    "delete it, or give each configuration a `name` of its own."
)


def check_holds_results(folder: ResultsFolder) -> None:
    """Raises `SpsnError` for what is no folder, and for one in which no workflow made anything."""
    if os.path.isfile(folder.path):
        raise SpsnError(f"{folder.path}: is a file; name the folder of results that it lies in")
    if not os.path.isdir(folder.path):
        raise SpsnError(f"{folder.path}: no such folder. Name one that holds results, such as results/demo.")
    if not _holds_results(folder):
        near = _results_in(folder.path) or _results_in(folder.path.parent)
        names = f"one of: {', '.join(near)}" if near else "a folder that does, such as results/demo"
        raise SpsnError(f"{folder.path}: holds no results (no {SETTINGS}, no {PROVENANCE}); name {names}")


def _holds_results(folder: ResultsFolder) -> bool:
    return folder.holds(SETTINGS) or folder.holds(PROVENANCE)


def _results_in(place: Path) -> list[str]:
    try:
        return [str(path) for path in sorted(place.iterdir()) if _holds_results(ResultsFolder(path))]
    except OSError:
        return []


def remedies(folder: ResultsFolder, editions: Iterable[Edition], findings: Findings) -> list[str]:
    """A sentence for each kind of mismatch: strangers are deleted, all else is made again.

    Snakemake does not notice a changed output. A report that is missing is made again, before it its
    provenance, and before that every result that is not there.
    """
    found = [OWN_NAME] if STRANGER in findings.texts else []
    if findings.texts - {STRANGER}:
        also = ", ".join(name for edition in editions for name in (edition.provenance, PDFS[edition]))
        how = " and ".join(_rebuild(folder, edition) for edition in editions)
        found.append(
            f"To restore what differs or is missing, delete the files named above and {also}, then run "
            f"{how}; this makes what is missing and what rests on it, and leaves the rest as it is."
        )
    return found


def _rebuild(folder: ResultsFolder, edition: Edition) -> str:
    """Targets of the workflow are called `results/<name>/...`: elsewhere no command can be given."""
    path = Path(os.path.relpath(folder.path))
    if path.parts[:-1] == ("results",):
        return make_command(path, PDFS[edition])
    return f"the workflow for {PDFS[edition]} with the configuration that made this folder"
