"""The Free Spoken Digit Dataset: 3000 recordings of digits, fetched, checked one by one, and labelled.

Zohar Jackson and contributors, https://github.com/Jakobovski/free-spoken-digit-dataset, release 1.0.10,
CC BY-SA 4.0: six speakers say each digit fifty times, at 8 kHz. A recording is called
`{digit}_{speaker}_{take}.wav`. The archive that the host makes of a release may change its bytes any day, so
it has no checksum; each recording has one (`fsdd.sha256`), and nothing else of the archive is unpacked.

Split: all that theo says is the test file, and takes 0 to 4 of the other five. So 2250 recordings train, 750
test, of which 500 are by a speaker that training never hears.
"""

import gzip
import hashlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

from spsn.data.download import download
from spsn.dataset_settings import FSDD_ARCHIVE
from spsn.errors import DataError
from spsn.files import write_rows

HOSTS = ("github.com", "codeload.github.com")  # where the release's address leads
LARGEST = 1 << 20  # bytes of a recording; the longest of them has 37 thousand
LARGEST_ARCHIVE = 200 << 20
CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
UNSEEN = "theo"  # the speaker of the test file alone
TEST_TAKES = 5  # of every other speaker and digit
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

    They come from `archive`, an address, or without any network from `data_dir`: the release's .tar.gz or a
    folder of the recordings there. `digests` (SHA-256 by file name) are the published ones; `how` goes to
    `download`. The table is `folder`/labels.csv with the columns of `COLUMNS`. Raises DataError, and leaves
    what was there before, when a recording is missing or is not what was published.
    """
    folder, digests = Path(folder), published_digests() if digests is None else digests
    target = folder / "recordings"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if data_dir is None:
            origin = _from_the_web(archive, target, digests, how)
        else:
            origin = _from_a_folder(Path(data_dir).expanduser().absolute(), target, digests)
        write_rows(labels(digests), folder / "labels.csv", COLUMNS)
    except OSError as error:  # of this machine: a full disk, a folder that may not be written
        raise DataError(
            f"{target}: cannot be written ({error}). Make room there, or mend its rights."
        ) from error
    return {"url": origin, "recordings": len(digests), "sha256 of all": _digest_of(digests)}


def labels(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """What each recording (a file name) is: its label, speaker and split, in the order of the names."""
    for name in sorted(names):
        digit, speaker, take = name.removesuffix(".wav").split("_")
        test = speaker == UNSEEN or int(take) < TEST_TAKES
        split = "test" if test else "train"
        yield {"file": name, "label": CLASS_NAMES[int(digit)], "speaker": speaker, "split": split}


def _from_the_web(url: str, target: Path, digests: Mapping[str, str], how: Mapping) -> str:
    packed = target.parent / ".downloads" / (PurePosixPath(url).name or "archive")
    if not packed.is_file():
        download(url, packed, hosts=HOSTS, limit=LARGEST_ARCHIVE, **how)
    try:
        _place(_unpacked(packed), target, digests)
    except DataError as error:  # whatever is wrong with it is wrong with it for ever
        packed.unlink()
        raise DataError(f"{url}: {error} The archive was removed. {BY_HAND}") from error
    packed.unlink()
    return url


def _from_a_folder(data_dir: Path, target: Path, digests: Mapping[str, str]) -> str:
    found = [folder for folder in (data_dir, data_dir / "recordings") if any(folder.glob("*_*_*.wav"))]
    found += sorted(data_dir.glob("free-spoken-digit-dataset*.tar.gz"))
    if not found:
        raise DataError(f"{data_dir}: holds neither the recordings nor their archive. {BY_HAND}")
    source = found[0]
    try:
        _place(_read(source, digests) if source.is_dir() else _unpacked(source), target, digests)
    except DataError as error:
        raise DataError(f"{source}: {error} {BY_HAND}") from error
    return source.as_uri()


def _read(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                yield name, file.read(LARGEST)


def _unpacked(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the recordings in the release's archive, whatever folder holds them."""
    try:
        with tarfile.open(archive, "r|gz") as packed:
            for member in packed:
                path = PurePosixPath(member.name)
                if member.isfile() and path.parent.name == "recordings" and path.suffix == ".wav":
                    if member.size > LARGEST:
                        raise DataError(f"{path.name} has {member.size} bytes, over LARGEST = {LARGEST}.")
                    yield path.name, packed.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the archive cannot be unpacked ({error}).") from error


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
