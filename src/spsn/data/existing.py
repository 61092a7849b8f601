"""SHD's files, and others in their layout, taken from a folder where they lie already; no network is used.

The file itself is checked and linked, or an archive of it by its md5 and unpacked.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from spsn.data.archives import Facts, archives_of, by_hand, expected, facts_of, is_shd
from spsn.data.hdf5 import UnreadError
from spsn.data.part import alone, keeping
from spsn.data.shd import SHD_EXPECTED, Expectation, check_split, read_split
from spsn.data.unpack import place
from spsn.dataset_settings import SHD_ARCHIVES as ARCHIVES  # archive: md5
from spsn.dataset_settings import SHD_FILES as FILES  # file: md5
from spsn.dataset_settings import SHD_SOURCES as SOURCES
from spsn.errors import DataError
from spsn.files import digest, require_file, whole_file

log = logging.getLogger(__name__)


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
    source, wanted = home / name, archives_of(name, archives)
    expect = expect or expected(name, wanted)
    packed = [home / archive for archive in wanted if (home / archive).is_file()]
    if packed and not source.exists():
        return _unpack_existing(packed, target, wanted, expect)
    hint = by_hand(name, SOURCES) if name in SHD_EXPECTED else "Put it there, or name another folder."
    require_file(source, f"data_dir names its folder. {hint}")
    _check_existing(source, name, wanted, expect)
    facts = facts_of(source, name) | {"url": source.as_uri(), "md5": _md5(source)}
    with keeping(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and target.samefile(source)):
            _link(source, target)
    if name not in FILES:
        return facts
    published = facts["md5"] == FILES[name]
    if not published and is_shd(wanted):
        log.warning("%s: its contents have SHD's numbers, its md5 is not one that is published", source)
    return facts | {"published_md5": published}


def _unpack_existing(
    packed: Sequence[Path], target: Path, wanted: Mapping[str, str], expect: Expectation | None
) -> Facts:
    for path in packed:
        require_file(path, "Name another folder.")
    digests = {path: _md5(path) for path in packed}
    right = [path for path, md5 in digests.items() if md5 == wanted[path.name]]
    if not right:
        found = "; ".join(f"{path} has md5 {md5}, not {wanted[path.name]}" for path, md5 in digests.items())
        raise DataError(f"{found}. Download it again. {by_hand(target.name, SOURCES)}")
    source = right[0]
    with keeping(target), alone(target) as store:
        try:
            place(source, store, target, expect)
        except UnreadError:
            raise
        except DataError as error:
            raise DataError(f"{source}: {error}") from error
    facts = facts_of(target, target.name) | {"url": source.as_uri(), "md5": digests[source]}
    return facts | {"published_md5": digests[source] == ARCHIVES.get(source.name)}


def _check_existing(source: Path, name: str, wanted: Mapping[str, str], expect: Expectation | None) -> None:
    spikes = read_split(source)
    if name in FILES and is_shd(wanted) and spikes.made_by:
        raise DataError(
            f"{source}: is not SHD, though it bears its name: it says of itself {spikes.made_by!r}. "
            f"Give it as `dataset: {{train: ..., test: ..., name: ...}}`. {by_hand(name, SOURCES)}"
        )
    check_split(spikes, source, expect=expect)


def _md5(path: Path) -> str:
    try:
        return digest(path, "md5")
    except OSError as error:
        raise UnreadError(
            f"{path}: cannot be read ({error.strerror}). See to the disk, or name another folder."
        ) from error


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
