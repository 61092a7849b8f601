"""What `provenance.json` says beyond the machine: digests of every result, of the code and the text behind
the report, and when the jobs ran.

The report cites `provenance.json`, so that file holds digests of all that the report rests on and none of the
report itself. The report's own stand beside it in `report.pdf.sha256`, which `sha256sum -c` reads too.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from spsn import sources
from spsn.files import digest, write_text

CHECKOUT = Path(__file__).resolve().parents[3]
LOCK = CHECKOUT / "requirements.lock"
TEXT = ("claims.yaml", "comparison.tex", "golden.csv", "golden.tex", "references.bib", "report.tex",
        "reported.csv", "shd_published.csv")  # fmt: skip


def paper_folder() -> Path:
    """The folder paper/ of the repository: below the working folder, or beside this package.

    Anybody's working folder may have a folder of that name: it is the repository's where all of `TEXT` lies.
    """
    here = Path("paper")
    return here if all((here / name).is_file() for name in TEXT) else CHECKOUT / "paper"


def file_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 (hex) of those of `names` that are files below `folder`."""
    return {name: digest(folder / name) for name in names if (folder / name).is_file()}


def code_digest() -> str:
    """SHA-256 (hex) of the modules between run records and the reader."""
    return sources.digest(sources.below("replication") + sources.RECORDS)


def text_digests(paper: Path) -> dict[str, str]:
    """SHA-256 (hex) of the report's text, the paper's claims and its numbers."""
    return file_digests(paper, TEXT)


def lock_digest() -> str | None:
    """SHA-256 (hex) of the list of locked packages; None where this package lies outside a checkout."""
    return digest(LOCK) if LOCK.is_file() else None


def job_times(folder: Path) -> dict[str, dict[str, object]]:
    """When the jobs that Snakemake measured ran: `started`, `ended` (UTC, ISO 8601), `seconds`, by name.

    A benchmark is written when its job ends, and states how long it took. One that cannot be read is left
    out: it belongs to no result.
    """
    times = {}
    for path in sorted((folder / "benchmarks").glob("*.tsv")):
        try:
            names, values = path.read_text(encoding="utf-8").splitlines()[:2]
            seconds = float(dict(zip(names.split("\t"), values.split("\t"), strict=True))["s"])
            ended = path.stat().st_mtime
            times[path.stem] = {"started": _iso(ended - seconds), "ended": _iso(ended), "seconds": seconds}
        except (OSError, OverflowError, ValueError, KeyError):
            continue
    return times


def span(times: dict[str, dict[str, object]]) -> dict[str, object]:
    """The first start and the last end of `job_times`; None where no job was measured."""
    started = min((str(job["started"]) for job in times.values()), default=None)
    return {"started": started, "ended": max((str(job["ended"]) for job in times.values()), default=None)}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def checksum_path(pdf: Path) -> Path:
    """Where the digests of a report lie."""
    return pdf.with_name(f"{pdf.name}.sha256")


def write_checksums(pdf: str | Path, beside: Iterable[Path]) -> None:
    """Write the digests of a report and of the files `beside` it, in the format of `sha256sum`."""
    pdf = Path(pdf)
    lines = [f"{digest(path)}  {os.path.relpath(path, pdf.parent)}" for path in (pdf, *beside)]
    write_text(checksum_path(pdf), "\n".join(lines) + "\n")


def read_checksums(path: Path) -> dict[str, str]:
    """Digests by the name that stands in `path`.

    Raises OSError, as reading does, and ValueError where a line is none of `sha256sum`'s, or a second of one
    file.
    """
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        value, gap, name = line.partition("  ")
        if not gap or len(value) != 64:
            raise ValueError(f"{line[:80]!r} is no line of sha256sum")
        if name in found:
            raise ValueError(f"names {name[:80]!r} twice")
        found[name] = value
    return found
