"""SHD's files: fetched from where they are published, or taken from where they lie, and checked either way.

The archives are tried source by source, .zip before .gz, until one passes: first the archive's md5 (published
with norse for .gz, with tonic and spikingjelly for .zip), then, unpacked, the contents (`check_split`). Of a
file that is fetched the .h5's own md5 is not asked for: norse publishes it, but nobody says that both
archives hold the same bytes. Only a file that passed everything is renamed into its place.

`<folder>/.downloads` keeps what was downloaded, whole or in part, for the next try, say when the disk was
full or the memory too small; what proves wrong is removed, and an archive of the right md5 with wrong
contents is not asked for elsewhere, since it would have the same bytes. The folder goes when nothing is left
in it. Only a process that is killed leaves its lock there, or a file half unpacked; the next one takes these
over. How a file is brought over a
bad line, and why by requests and tenacity, says `spsn.data.download`.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spsn.data.download import DownloadError, download
from spsn.data.hdf5 import UnreadError
from spsn.data.part import alone, keeping
from spsn.data.shd import SHD_EXPECTED, Expectation, check_split, read_split
from spsn.data.transfer import host_of
from spsn.data.unpack import MAX_FILE_BYTES, place
from spsn.dataset_settings import SHD_ARCHIVES as ARCHIVES  # archive: md5
from spsn.dataset_settings import SHD_FILES as FILES  # file: md5
from spsn.dataset_settings import SHD_SOURCES as SOURCES
from spsn.errors import DataError
from spsn.files import digest, require_file, whole_file

log = logging.getLogger(__name__)

Facts = dict[str, str | int | bool]


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
    target, wanted = Path(folder) / name, _archives_of(name, archives)
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
    raise DataError(f"{target}: could not be fetched. Tried:\n{tried}\n{_by_hand(name, sources)}")


def use_existing(
    data_dir: str | os.PathLike,
    name: str,
    folder: str | os.PathLike,
    *,
    archives: Mapping[str, str] = ARCHIVES,
    expect: Expectation | None = None,
) -> Facts:
    """Check `name` in `data_dir` and link it into `folder` (a copy where links cannot be made); no network.

    Where only an archive of it lies there, that is checked by its md5 in `archives` and unpacked into
    `folder`. `expect` defaults to what SHD's own files hold if `archives` are the published ones, and to
    nothing in particular for other archives and names. The result has the keys of `fetch`, with a file:
    address and the md5 of the .h5 file, or of the archive; for SHD's names also `published_md5`, whether that
    is one that is published. Raises DataError when the file is absent, is refused, or says that it was made
    by something else under SHD's name, and when this machine cannot keep it.
    """
    home, target = Path(data_dir).expanduser().absolute(), Path(folder) / name
    source, wanted = home / name, _archives_of(name, archives)
    expect = expect or _expected(name, wanted)
    packed = [home / archive for archive in wanted if (home / archive).is_file()]
    if packed and not source.exists():
        return _unpack_existing(packed, target, wanted, expect)
    hint = _by_hand(name, SOURCES) if name in SHD_EXPECTED else "Put it there, or name another folder."
    require_file(source, f"data_dir names its folder. {hint}")
    _check_existing(source, name, wanted, expect)
    facts = _facts(source, name) | {"url": source.as_uri(), "md5": _md5(source)}
    with keeping(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and target.samefile(source)):
            _link(source, target)
    if name not in FILES:
        return facts
    published = facts["md5"] == FILES[name]
    if not published and _is_shd(wanted):
        log.warning("%s: its contents have SHD's numbers, its md5 is not one that is published", source)
    return facts | {"published_md5": published}


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
        place(packed, packed.parent, target, expect or _expected(target.name, {packed.name: md5}))
    except UnreadError as error:
        raise UnreadError(f"{error} What was downloaded is kept in {packed.parent}.") from error
    except DataError as error:  # whatever is wrong with it is wrong with it for ever
        _clear(packed.parent, packed.name)
        raise _ContentsError(f"{url}: {error}") from error
    _clear(packed.parent, *_names(target.name))
    return _facts(target, target.name) | {"url": url, "md5": md5}


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


def _unpack_existing(
    packed: Sequence[Path], target: Path, wanted: Mapping[str, str], expect: Expectation | None
) -> Facts:
    for path in packed:
        require_file(path, "Name another folder.")
    digests = {path: _md5(path) for path in packed}
    right = [path for path, md5 in digests.items() if md5 == wanted[path.name]]
    if not right:
        found = "; ".join(f"{path} has md5 {md5}, not {wanted[path.name]}" for path, md5 in digests.items())
        raise DataError(f"{found}. Download it again. {_by_hand(target.name, SOURCES)}")
    source = right[0]
    with keeping(target), alone(target) as store:
        try:
            place(source, store, target, expect)
        except UnreadError:
            raise
        except DataError as error:
            raise DataError(f"{source}: {error}") from error
    facts = _facts(target, target.name) | {"url": source.as_uri(), "md5": digests[source]}
    return facts | {"published_md5": digests[source] == ARCHIVES.get(source.name)}


def _md5(path: Path) -> str:
    try:
        return digest(path, "md5")
    except OSError as error:
        raise UnreadError(
            f"{path}: cannot be read ({error.strerror}). See to the disk, or name another folder."
        ) from error


def _check_existing(source: Path, name: str, wanted: Mapping[str, str], expect: Expectation | None) -> None:
    spikes = read_split(source)
    if name in FILES and _is_shd(wanted) and spikes.made_by:
        raise DataError(
            f"{source}: is not SHD, though it bears its name: it says of itself {spikes.made_by!r}. "
            f"Give it as `dataset: {{train: ..., test: ..., name: ...}}`. {_by_hand(name, SOURCES)}"
        )
    check_split(spikes, source, expect=expect)


def _names(name: str) -> tuple[str, str]:
    return f"{name}.zip", f"{name}.gz"


def _archives_of(name: str, archives: Mapping[str, str]) -> dict[str, str]:
    return {archive: archives[archive].lower() for archive in _names(name) if archive in archives}


def _is_shd(wanted: Mapping[str, str]) -> bool:
    """Whether these archives are all as SHD's are published."""
    return wanted.items() <= ARCHIVES.items()


def _expected(name: str, wanted: Mapping[str, str]) -> Expectation | None:
    return SHD_EXPECTED.get(name) if _is_shd(wanted) else None


def _hosts(sources: Sequence[str]) -> set[str]:
    """Hosts that a redirect may lead to: the sources', each with www. before it or without."""
    own = {host_of(source).removeprefix("www.") for source in sources}
    return own | {f"www.{host}" for host in own}


def _link(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}.link")
    try:
        beside.symlink_to(source)
        os.replace(beside, target)
    except OSError:  # a file system without links
        with whole_file(target) as part:
            shutil.copyfile(source, part)
    finally:
        beside.unlink(missing_ok=True)


def _facts(path: Path, name: str) -> Facts:
    return {"file": name, "sha256": digest(path), "bytes": path.stat().st_size}


def _unknown(archives: Mapping[str, str]) -> str:
    known = sorted({archive.rpartition(".")[0] for archive in archives})
    return (
        f"only {' and '.join(known)} can be fetched. Name one of them; files of your own are given as "
        "`dataset: {train: ..., test: ..., name: ...}` and need no fetching."
    )


def _by_hand(name: str, sources: Sequence[str]) -> str:
    return (
        f"By hand: download {name}.zip or {name}.gz from {' or '.join(sources)} and set data_dir in the "
        f"configuration to the folder in which it, or {name} unpacked from it, then lies."
    )
