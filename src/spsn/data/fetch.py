"""SHD's files, fetched from where they are published and checked before they take their place.

The archives are tried source by source, .zip before .gz, until one passes: first the archive's md5 (published
with norse for .gz, with tonic and spikingjelly for .zip), then, unpacked, the contents (`check_split`). Of a
file that is fetched the .h5's own md5 is not asked for: norse publishes it, but nobody says that both
archives hold the same bytes. Only a file that passed everything is renamed into its place.

`<folder>/.downloads` keeps what was downloaded, whole or in part, for the next try, say when the disk was
full or the memory too small; what proves wrong is removed, and an archive of the right md5 with wrong
contents is not asked for elsewhere, since it would have the same bytes. The folder goes when nothing is left
in it. Only a process that is killed leaves its lock there, or a file half unpacked; the next one takes these
over. How a file is brought over a bad line, and why by requests and tenacity, says `spsn.data.download`. What
lies on this machine already is taken by `spsn.data.existing`.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spsn.data.archives import Facts, archive_names, archives_of, by_hand, expected, facts_of
from spsn.data.download import DownloadError, download
from spsn.data.hdf5 import UnreadError
from spsn.data.part import alone, keeping
from spsn.data.shd import Expectation
from spsn.data.transfer import host_of
from spsn.data.unpack import MAX_FILE_BYTES, place
from spsn.dataset_settings import SHD_ARCHIVES as ARCHIVES  # archive: md5
from spsn.dataset_settings import SHD_SOURCES as SOURCES
from spsn.errors import DataError
from spsn.files import digest

log = logging.getLogger(__name__)


class _ContentsError(DownloadError):
    """An archive has the right md5 and the wrong contents."""


def fetch(
    name: str,
    folder: str | os.PathLike,
    *,
    sources: Sequence[str] = SOURCES,
    archives: Mapping[str, str] = ARCHIVES,
    expect: Expectation | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    pause: float = 1.0,
) -> Facts:
    """Bring `name` ('shd_train.h5' or 'shd_test.h5') into `folder` and return where it came from.

    `sources` are folders' addresses; `archives` maps archive names, `name` with .zip or .gz behind it, to md5
    sums. `expect` defaults to what SHD's own files hold where the archive's md5 is a published one, else to
    nothing in particular: then the md5 alone says what it is. `timeout`, `attempts` and `pause` are those of
    `download`; a source that does not answer at all is not asked for its other archive. The result has
    `file`, `url`, `md5` of the archive, `sha256` and `bytes` of the file. Raises DataError when no archive
    gives a good file, with every address tried and the way to place the file by hand, when this machine
    cannot keep or read it, and for a `name` of which no archive is known.
    """
    target, wanted = Path(folder) / name, archives_of(name, archives)
    if not wanted:
        raise DataError(f"{target}: {_unknown(archives)}")
    how = {"timeout": timeout, "attempts": attempts, "pause": pause, "hosts": _hosts(sources)}
    failures, hopeless = [], set()
    with keeping(target), alone(target) as store:
        for source, archive in _places(store, wanted, sources):
            if source in hopeless or archive in hopeless:
                continue
            try:
                return _take(source, store / archive, target, wanted[archive], expect, how)
            except DownloadError as error:
                log.warning("%s", error)
                failures.append(f"  {error}")
                if isinstance(error, _ContentsError):
                    hopeless.add(archive)
                elif not error.answered:
                    hopeless.add(source)
    tried = "\n".join(failures)
    raise DataError(f"{target}: could not be fetched. Tried:\n{tried}\n{by_hand(name, sources)}")


def _places(
    store: Path, wanted: Mapping[str, str], sources: Sequence[str]
) -> Iterator[tuple[str | None, str]]:
    """Sources and archives in the order in which they are tried; None for what an earlier try left whole."""
    for archive, md5 in wanted.items():
        if (store / archive).is_file() and digest(store / archive, "md5") == md5:
            yield None, archive
        else:
            (store / archive).unlink(missing_ok=True)
    for source in sources:
        for archive in wanted:
            yield source, archive


def _take(
    source: str | None, packed: Path, target: Path, md5: str, expect: Expectation | None, how: Mapping
) -> Facts:
    """Download an archive, unless it is there, and make the file of it.

    Raises DownloadError where either proves wrong. Where this machine fails, the archive stays.
    """
    url = _bring(source, packed, md5, how)
    try:
        place(packed, packed.parent, target, expect or expected(target.name, {packed.name: md5}))
    except UnreadError as error:
        raise UnreadError(f"{error} What was downloaded is kept in {packed.parent}.") from error
    except DataError as error:  # whatever is wrong with it is wrong with it for ever
        _clear(packed.parent, packed.name)
        raise _ContentsError(f"{url}: {error}") from error
    _clear(packed.parent, *archive_names(target.name))
    return facts_of(target, target.name) | {"url": url, "md5": md5}


def _clear(store: Path, *archives: str) -> None:
    for archive in archives:
        for suffix in ("", ".url", ".part", ".part.json", ".part.new"):
            (store / f"{archive}{suffix}").unlink(missing_ok=True)


def _bring(source: str | None, packed: Path, md5: str, how: Mapping) -> str:
    """Download an archive, unless it is there, and return its address, noted for another try."""
    note = packed.with_name(f"{packed.name}.url")
    if source is None:
        return note.read_text(encoding="utf-8") if note.is_file() else packed.absolute().as_uri()
    url = f"{source.rstrip('/')}/{packed.name}"
    download(url, packed, md5=md5, limit=MAX_FILE_BYTES, **how)
    note.write_text(url, encoding="utf-8")
    return url


def _hosts(sources: Sequence[str]) -> set[str]:
    """Hosts that a redirect may lead to: the sources', each with www. before it or without."""
    own = {host_of(source).removeprefix("www.") for source in sources}
    return own | {f"www.{host}" for host in own}


def _unknown(archives: Mapping[str, str]) -> str:
    known = sorted({archive.rpartition(".")[0] for archive in archives})
    return (
        f"only {' and '.join(known)} can be fetched. Name one of them; files of your own are given as "
        "`dataset: {train: ..., test: ..., name: ...}` and need no fetching."
    )
