"""The Free Spoken Digit Dataset: 3000 recordings of digits, fetched, checked one by one, and labelled.

Zohar Jackson and contributors, https://github.com/Jakobovski/free-spoken-digit-dataset, release 1.0.10,
CC BY-SA 4.0: six speakers say each digit fifty times, at 8 kHz. A recording is called
`{digit}_{speaker}_{take}.wav`. The archive that the host makes of a release may change its bytes any day, so
it has no checksum; each recording has one (`fsdd.sha256`), and nothing else of the archive is unpacked. A
.tar.gz from a stranger can hold anything, also a name of a gigabyte: what comes out of it is limited, in all
and at once.

Split: all that theo says is the test file, and takes 0 to 4 of the other five. So 2250 recordings train, 750
test, of which 500 are by a speaker that training never hears.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from spsn.data.download import download
from spsn.data.hdf5 import UnreadError, is_web_page
from spsn.data.part import alone, keeping
from spsn.dataset_settings import FSDD_ARCHIVE
from spsn.errors import DataError
from spsn.files import require_file, write_rows

HOSTS = ("github.com", "codeload.github.com")  # where the release's address leads
LARGEST = 1 << 20  # bytes of a recording, or of anything else read at once; the longest has 37 thousand
LARGEST_ARCHIVE = 200 << 20
LARGEST_UNPACKED = 100 << 20  # bytes of all that the archive holds; the release has 23 million
CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELEASE = "free-spoken-digit-dataset"
UNSEEN = "theo"  # the speaker of the test file alone
TEST_TAKES = 5  # of every other speaker and digit
NOT_UNPACKED = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ValueError,  # numbers that are none
    RecursionError,  # a name for a name for a name
)
COLUMNS = ("file", "label", "speaker", "split")
BY_HAND = (
    "By hand: download release 1.0.10 from https://github.com/Jakobovski/free-spoken-digit-dataset and set "
    "data_dir in the configuration to the folder in which its .tar.gz, or its recordings, then lie."
)


def published_digests() -> dict[str, str]:
    """SHA-256 (hex) of every recording, by its file name."""
    listed = resources.files("spsn.data").joinpath("fsdd.sha256").read_text(encoding="ascii")
    return {name: digest for digest, name in (line.split() for line in listed.splitlines())}


def fetch_fsdd(
    folder: str | os.PathLike,
    *,
    archive: str = FSDD_ARCHIVE,
    data_dir: str | os.PathLike | None = None,
    digests: Mapping[str, str] | None = None,
    **how,
) -> dict[str, str | int]:
    """Put the recordings into `folder`/recordings and their table beside them; return where they came from.

    They come from `archive`, an address, or without any network from `data_dir`: the release's .tar.gz, or a
    folder that holds it or the recordings. `digests` (SHA-256 by file name) are the published ones; `how`
    goes to `download`. The table is `folder`/labels.csv with the columns of `COLUMNS`. Raises DataError, and
    leaves what was there before, when a recording is missing, cannot be read or is not what was published,
    and when this machine cannot keep them. Of several processes one works on `folder` at a time.
    """
    folder, digests = Path(folder), published_digests() if digests is None else digests
    target = folder / "recordings"
    with keeping(target), alone(target) as store:
        _tidy(target)
        if data_dir is None:
            origin = _from_the_web(archive, store, target, digests, how)
        else:
            origin = _from_here(Path(data_dir).expanduser().absolute(), target, digests)
        write_rows(labels(digests), folder / "labels.csv", COLUMNS)
    return {"url": origin, "recordings": len(digests), "sha256 of all": _digest_of(digests)}


def labels(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """What each recording (a file name) is: its label, speaker and split, in the order of the names."""
    for name in sorted(names):
        digit, speaker, take = name.removesuffix(".wav").split("_")
        test = speaker == UNSEEN or int(take) < TEST_TAKES
        split = "test" if test else "train"
        yield {"file": name, "label": CLASS_NAMES[int(digit)], "speaker": speaker, "split": split}


def _tidy(target: Path) -> None:
    """Clear up after a process that was killed; what it had moved aside goes back into its place."""
    for scratch in target.parent.glob(".recordings.*"):
        if not target.exists() and (scratch / "old").is_dir():
            os.replace(scratch / "old", target)
        shutil.rmtree(scratch)


def _from_the_web(url: str, store: Path, target: Path, digests: Mapping[str, str], how: Mapping) -> str:
    packed = store / (PurePosixPath(url).name or "archive")
    if not packed.is_file():
        download(url, packed, hosts=HOSTS, limit=LARGEST_ARCHIVE, **how)
    try:
        _place(_unpacked(packed), target, digests)
    except UnreadError:
        raise
    except DataError as error:  # whatever is wrong with it is wrong with it for ever
        packed.unlink()
        raise DataError(f"{url}: {error} The archive was removed. {BY_HAND}") from error
    packed.unlink()
    return url


def _from_here(data_dir: Path, target: Path, digests: Mapping[str, str]) -> str:
    found = [folder for folder in (data_dir, data_dir / "recordings") if any(folder.glob("*_*_*.wav"))]
    # under the name that the release has, else under any: what it holds decides
    found += sorted(data_dir.glob("*.tar.gz"), key=lambda path: (not path.name.startswith(RELEASE), path))
    if not found and not data_dir.is_file():
        raise DataError(f"{data_dir}: holds neither the recordings nor their archive. {BY_HAND}")
    source = found[0] if found else data_dir
    try:
        _place(_read(source, digests) if source.is_dir() else _unpacked(source), target, digests)
    except DataError as error:
        raise DataError(f"{source}: {error} {BY_HAND}") from error
    return source.as_uri()


def _read(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    with _readable(folder):
        there = set(os.listdir(folder))
    for name in sorted(there.intersection(names)):
        path = folder / name
        require_file(path, "Put it there again.")
        with _readable(path), path.open("rb") as file:
            content = file.read(LARGEST)
        yield name, content


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of `path` that it cannot be read, lest the fault be looked for where the recordings go."""
    try:
        yield
    except OSError as error:
        raise UnreadError(
            f"{path} cannot be read ({error.strerror or error}). Mend its rights, or see to the disk."
        ) from error


def _unpacked(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the recordings in the release's archive, whatever folder holds them."""
    with _readable(archive), archive.open("rb") as file:
        if is_web_page(file.read(512)):
            raise DataError("a web page, not the archive.")
        file.seek(0)
        try:
            with (
                gzip.open(file) as stream,
                tarfile.open(fileobj=_Bounded(stream), mode="r:") as packed,
            ):
                while member := packed.next():
                    packed.members.clear()  # a list of all that went by
                    path = PurePosixPath(member.name)
                    if member.isfile() and path.parent.name == "recordings" and path.suffix == ".wav":
                        yield path.name, packed.extractfile(member).read()
        except NOT_UNPACKED as error:
            raise DataError(f"the archive cannot be unpacked ({error}).") from error


class _Bounded:
    """What comes out of an archive, read from its first byte to its last within the limits.

    Raises DataError for more than LARGEST bytes at once, LARGEST_UNPACKED in all, and for a way back, which a
    sound archive never asks for and another one could ask for without end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST:
            raise DataError(f"the archive holds a piece of {size} bytes, over LARGEST = {LARGEST}.")
        self._check(self.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        if place < self.tell():
            raise DataError("the archive cannot be unpacked (it leads back).")
        self._check(place)
        return self._stream.seek(place)

    def _check(self, place: int) -> None:
        if place > LARGEST_UNPACKED:
            raise DataError(
                f"the archive unpacks to {place} bytes or more, over LARGEST_UNPACKED = {LARGEST_UNPACKED}."
            )


def _place(recordings: Iterable[tuple[str, bytes]], target: Path, digests: Mapping[str, str]) -> None:
    """Write the known ones of `recordings` into the folder `target`, which appears whole and checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".recordings.") as scratch:
        fresh, placed = Path(scratch) / "recordings", set()
        fresh.mkdir()
        for name, content in recordings:
            if name not in digests:
                continue
            found = hashlib.sha256(content).hexdigest()
            if found != digests[name]:
                raise DataError(f"{name} has SHA-256 {found} instead of {digests[name]}.")
            (fresh / name).write_bytes(content)
            placed.add(name)
        missing = sorted(digests.keys() - placed)
        if missing:
            raise DataError(f"{len(missing)} of {len(digests)} recordings are missing, first {missing[0]}.")
        if target.exists():
            os.replace(target, Path(scratch) / "old")
        os.replace(fresh, target)


def _digest_of(digests: Mapping[str, str]) -> str:
    """SHA-256 (hex) over the recordings' digests and names, in the order of the names."""
    listed = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(listed.encode()).hexdigest()
