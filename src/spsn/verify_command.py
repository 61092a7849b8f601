"""The command of `spsn` that holds a folder of results against itself."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from spsn.errors import SpsnError


def add(of, command: Callable) -> None:
    """Register the command; `command(of, name, run, help)` makes one."""
    c = command(
        of,
        "verify",
        verify,
        "make tables, claims, numbers and pictures again from a folder's run records, and say what differs",
    )
    c.add_argument("results", type=Path, help="results/<name>, as it was made or published")
    c.add_argument("--paper", type=Path, help="the repository's folder paper/, where it is not found")


def verify(options: argparse.Namespace) -> None:
    """Print a line for each thing that differs, and what was checked. Raises `SpsnError` if anything does."""
    if not options.results.exists():  # before what takes seconds to import
        raise SpsnError(
            f"{options.results}: no such folder. Name one that holds results, such as results/demo."
        )
    from spsn.replication.digests import paper_folder

    try:
        from spsn.verification.verify import verify
    except ModuleNotFoundError as error:
        raise SpsnError(
            f"verifying needs {error.name}; install it with: pip install 'spsn[report]'"
        ) from error

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every font in a PDF
    found = verify(options.results, options.paper or paper_folder())
    for line in found.lines:
        _say(line)
    if found.mismatches:
        raise SpsnError(f"{options.results}: {found.summary}")
    _say(f"{options.results}: {found.summary}")


def _say(line: str) -> None:
    """Print a line; what the terminal's letters lack is shown as its code."""
    coding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(line.encode(coding, "backslashreplace").decode(coding))
