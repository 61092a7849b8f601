"""The archives in which SHD's files come: their names, what is known of them, what is said of a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spsn.data.shd import SHD_EXPECTED, Expectation
from spsn.dataset_settings import SHD_ARCHIVES
from spsn.files import digest

Facts = dict[str, str | int | bool]


def archive_names(name: str) -> tuple[str, str]:
    """The archives in which a file may come, in the order in which they are tried."""
    return f"{name}.zip", f"{name}.gz"


def archives_of(name: str, archives: Mapping[str, str]) -> dict[str, str]:
    """Those of `archives` that hold the file `name`, with their md5 sums in small letters."""
    return {archive: archives[archive].lower() for archive in archive_names(name) if archive in archives}


def is_shd(wanted: Mapping[str, str]) -> bool:
    """Whether these archives are all as SHD's are published."""
    return wanted.items() <= SHD_ARCHIVES.items()


def expected(name: str, wanted: Mapping[str, str]) -> Expectation | None:
    """What is known of the contents of a file of SHD; None of any other."""
    return SHD_EXPECTED.get(name) if is_shd(wanted) else None


def facts_of(path: Path, name: str) -> Facts:
    """`file`, `sha256` and `bytes` of the file that is to be called `name`."""
    return {"file": name, "sha256": digest(path), "bytes": path.stat().st_size}


def by_hand(name: str, sources: Sequence[str]) -> str:
    """How a person can put the file `name` in place."""
    return (
        f"By hand: download {name}.zip or {name}.gz from {' or '.join(sources)} and set data_dir in the "
        f"configuration to the folder in which it, or {name} unpacked from it, then lies."
    )
