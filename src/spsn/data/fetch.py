"""SHD's files: fetched from where they are published, or taken from where they lie, and checked either way.

The archives are tried source by source, .zip before .gz, until one passes: first the archive's md5 (published
with norse for .gz, with tonic and spikingjelly for .zip), then, unpacked, the contents (`shd.check_split`).
The .h5 file's own md5 is not asked for: nobody says that both archives hold the same bytes. Only a file that
passed everything is renamed into its place; the archive itself lives in a nameless temporary file.

`requests` brings the bytes, since it can hand them over as they were sent (a .gz must not be decoded on the
way) and can ask for a part of a file; `tenacity` states in one place which failures are worth another try.
pooch was the other candidate: it knows one address and one checksum per file, not several archives at several
sources. They are imported when something is fetched, so that training needs neither.
"""

import gzip
import hashlib
import importlib
import logging
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from spsn.data.shd import SHD_EXPECTED, Expectation, check_split, is_web_page, read_split
from spsn.errors import DataError
from spsn.files import whole_file

log = logging.getLogger(__name__)

SOURCES = ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
ARCHIVES = {  # archive: md5, in the order in which they are tried
    "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
    "shd_train.h5.gz": "d47c9825dee33347913e8ce0f2be08b0",
    "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    "shd_test.h5.gz": "3062a80ec0c5719404d5b02e166543b1",
}
BLOCK = 1 << 20


class _Unusable(Exception):
    """Why one archive at one source is not taken; the next one is tried."""


def fetch(
    name: str,
    folder: str | os.PathLike,
    *,
    sources: Sequence[str] = SOURCES,
    archives: Mapping[str, str] = ARCHIVES,
    expect: Expectation | None = None,
    timeout: float = 30.0,
    attempts: int = 3,
    pause: float = 1.0,
) -> dict[str, str | int]:
    """Download `name` ('shd_train.h5' or 'shd_test.h5') into `folder` and return where it came from.

    `sources` are folders' addresses; `archives` maps archive names, `name` with .zip or .gz behind it, to md5
    sums; `expect` defaults to what SHD's own files hold. A connection that fails, or is silent for `timeout`
    seconds, is tried `attempts` times in all, after `pause`, 2 `pause`, ... seconds. The result has `file`,
    `url`, `md5` of the archive, `sha256` and `bytes` of the file. Raises DataError when no archive gives a
    good file, with every address tried and the way to place the file by hand; then nothing is left behind.
    """
    target = Path(folder) / name
    expect = expect or SHD_EXPECTED.get(name)
    failures = []
    for source in sources:
        for archive in (a for a in archives if a in (f"{name}.zip", f"{name}.gz")):
            url = f"{source.rstrip('/')}/{archive}"
            try:
                with _archive(url, archives[archive], target.parent, timeout, attempts, pause) as packed:
                    return _place(packed, target, expect) | {"url": url, "md5": archives[archive]}
            except _Unusable as reason:
                log.warning("%s: %s", url, reason)
                failures.append(f"  {url}: {reason}")
            except OSError as error:  # of this machine: a full disk, a folder that may not be written
                raise DataError(
                    f"{target}: cannot be written ({error}). Make room there, or mend its rights."
                ) from error
    tried = "\n".join(failures) or "  nothing: no archive of that name is known"
    raise DataError(f"{target}: could not be fetched. Tried:\n{tried}\n{_by_hand(name, sources)}")


def use_existing(
    data_dir: str | os.PathLike,
    name: str,
    folder: str | os.PathLike,
    *,
    expect: Expectation | None = None,
) -> dict[str, str | int]:
    """Check `name` in `data_dir` and link it into `folder` (a copy where links cannot be made); no network.

    `expect` defaults to what SHD's own files hold, and to nothing in particular for other names. The result
    has the keys of `fetch`, with a file: address and the md5 of the .h5 file. Raises DataError when the file
    is absent or refused.
    """
    source, target = (Path(data_dir).expanduser() / name).absolute(), Path(folder) / name
    if not source.is_file():
        hint = _by_hand(name, SOURCES) if name in SHD_EXPECTED else "Put it there, or name another folder."
        raise DataError(f"{source}: no such file, though data_dir names its folder. {hint}")
    check_split(read_split(source), source, expect=expect or SHD_EXPECTED.get(name))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.exists() and target.samefile(source)):
        _link(source, target)
    return _facts(source, name) | {"url": source.as_uri(), "md5": _digest(source, "md5")}


@contextmanager
def _archive(
    url: str, md5: str, folder: Path, timeout: float, attempts: int, pause: float
) -> Iterator[BinaryIO]:
    """Yield the archive at `url`, whole and with the right md5, as an open file that vanishes afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        found = _download(url, file, timeout, attempts, pause)
        if found != md5:
            file.seek(0)
            page = is_web_page(file.read(512))
            raise _Unusable("a web page instead of the archive" if page else f"md5 {found} instead of {md5}")
        file.seek(0)
        yield file


def _download(url: str, file: BinaryIO, timeout: float, attempts: int, pause: float) -> str:
    """Write what `url` gives into `file`, trying again where that may help; return its md5."""
    _need_libraries()
    import requests
    import tenacity
    from urllib3.exceptions import HTTPError

    def worth_another(error: BaseException) -> bool:
        response = getattr(error, "response", None)
        passing = response is None or response.status_code == 429 or response.status_code >= 500
        return isinstance(error, requests.RequestException | HTTPError) and passing

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth_another),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_exponential(multiplier=pause, max=30.0),
        before_sleep=tenacity.before_sleep_log(log, logging.INFO),
        reraise=True,
    )
    try:
        return policy(_stream, url, file, timeout)
    except (requests.RequestException, HTTPError) as error:
        raise _Unusable(str(error)) from error


def _need_libraries() -> None:
    try:
        for library in ("requests", "tenacity", "tqdm"):
            importlib.import_module(library)
    except ImportError as error:
        raise DataError(f"{error}. Fetching needs it: install spsn[pipeline].") from error


def _stream(url: str, file: BinaryIO, timeout: float) -> str:
    """Write the body at `url` into the emptied `file` as it was sent, showing progress; return its md5."""
    import requests
    from tqdm import tqdm

    file.seek(0)
    file.truncate()
    digest = hashlib.md5(usedforsecurity=False)
    with requests.get(url, stream=True, timeout=timeout, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        total = int(response.headers.get("Content-Length", 0)) or None
        with tqdm(total=total, desc=url.rsplit("/", 1)[-1], unit="B", unit_scale=True, disable=None) as bar:
            for block in response.raw.stream(BLOCK, decode_content=False):
                file.write(block)
                digest.update(block)
                bar.update(len(block))
    return digest.hexdigest()


def _place(packed: BinaryIO, target: Path, expect: Expectation | None) -> dict[str, str | int]:
    """Unpack an archive, check the file, rename it into its place; return its name, sha256 and size."""
    with whole_file(target) as part:
        try:
            with part.open("wb") as out, _unpacked(packed, target.name) as stream:
                shutil.copyfileobj(stream, out, BLOCK)
            check_split(read_split(part), part, expect=expect)
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise _Unusable(f"the archive cannot be unpacked ({error})") from error
        except DataError as error:
            raise _Unusable(f"unpacked, it is refused: {error}".replace(str(part), target.name)) from error
        return _facts(part, target.name)


@contextmanager
def _unpacked(packed: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Yield the contents of a .gz, or of the one member of a .zip called `name`, whatever its folder."""
    zipped = packed.read(2) == b"PK"
    packed.seek(0)
    if not zipped:
        with gzip.open(packed) as stream:
            yield stream
        return
    with zipfile.ZipFile(packed) as archive:
        members = [m for m in archive.namelist() if PurePosixPath(m).name == name]
        if len(members) != 1:
            raise _Unusable(f"the archive holds {len(members)} files called {name}")
        with archive.open(members[0]) as stream:
            yield stream


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


def _facts(path: Path, name: str) -> dict[str, str | int]:
    return {"file": name, "sha256": _digest(path, "sha256"), "bytes": path.stat().st_size}


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _by_hand(name: str, sources: Sequence[str]) -> str:
    return (
        f"By hand: download {name}.zip or {name}.gz from {' or '.join(sources)}, unpack it, and set data_dir "
        f"in the configuration to the folder in which {name} then lies."
    )
