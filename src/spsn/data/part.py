"""A file that is still arriving: `<target>.part`, what is known of it beside, and a lock against others.

`<target>.part` holds the file's first bytes, as many as have come; `<target>.part.json` says of which address
and which version of the file they are, so that another process can go on where this one was cut off. What may
prove no better than the part comes into `<target>.part.new` first. The lock (flock) lies on the part itself
and ends with the process, however that ends.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

from spsn.errors import DataError
from spsn.files import parse_json
from spsn.locks import held, is_still, opened, take


@dataclass(frozen=True)
class Origin:
    """Of which file the bytes are: its address, its version (a strong ETag, else Last-Modified), its length
    in bytes; None where the server does not say.
    """

    url: str
    version: str | None = None
    length: int | None = None


class Part:
    """The first bytes of a file. `origin` is None where nothing is known of them."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path, self._file = path, file
        self._beside = path.with_name(f"{path.name}.json")
        self.origin = _read_origin(self._beside)

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return os.fstat(self._file.fileno()).st_size

    def begin(self, origin: Origin) -> None:
        """Let go of what has come: from here on it is another file, or the same one from its first byte."""
        self._file.truncate(0)
        self.note(origin)

    def note(self, origin: Origin) -> None:
        """Write down of which file the bytes are.

        Written in place: a torn note is as good as none, and a process that is killed leaves nothing else.
        """
        self.origin = origin
        self._beside.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def append(self, block: bytes) -> None:
        """Add what came; nothing waits in a buffer that a killed process would take with it."""
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]

    def discard(self) -> None:
        """Let go of everything."""
        self._file.truncate(0)
        self._beside.unlink(missing_ok=True)
        self.origin = None

    @contextmanager
    def beside(self) -> Iterator["Part"]:
        """Yield an empty part that may take the place of this one (`become`), and else does not stay."""
        path = _fresh(self.path)
        with opened(path) as file:
            fresh = Part(path, file)
            fresh._file.truncate(0)
            try:
                yield fresh
            finally:
                path.unlink(missing_ok=True)

    def become(self, fresh: "Part", origin: Origin) -> None:
        """Let go of what has come for the bytes of `fresh`, which are of `origin`.

        At no time are the new bytes under the old note, or the part without a lock.
        """
        take(fresh._file, fresh.path)
        self._beside.unlink(missing_ok=True)
        os.replace(fresh.path, self.path)
        self._file = FileIO(os.dup(fresh._file.fileno()), "r+")
        self.note(origin)

    def close(self) -> None:
        """Close the file, which is not always the one that the part was made with."""
        self._file.close()

    def finish(self, target: Path) -> None:
        """Rename the whole file into its place."""
        os.replace(self.path, target)
        self._beside.unlink(missing_ok=True)

    def leave(self) -> None:
        """Leave no empty part behind."""
        with suppress(OSError):
            if is_still(self._file, self.path) and not self.size:
                self._beside.unlink(missing_ok=True)
                self.path.unlink()


@contextmanager
def part_of(target: Path) -> Iterator[tuple[Part, bool]]:
    """Yield the part of `target`, and whether another process had to be waited for.

    An empty part does not stay.
    """
    path = target.with_name(f"{target.name}.part")
    with held(path) as (file, waited):
        _fresh(path).unlink(missing_ok=True)  # of a process that was killed
        part = Part(path, file)
        try:
            yield part, waited
        finally:
            part.leave()
            part.close()


@contextmanager
def alone(target: Path) -> Iterator[Path]:
    """Keep other processes from making `target`; yield the folder for what is downloaded for it, which stays
    as long as something lies in it.
    """
    store = target.parent / ".downloads"
    lock = store / f"{target.name}.lock"
    with held(lock):
        try:
            yield store
        finally:
            lock.unlink(missing_ok=True)
            with suppress(OSError):  # something lies in it, or another process is at work
                store.rmdir()


@contextmanager
def keeping(target: Path) -> Iterator[None]:
    """Say as a DataError what this machine has against `target`: a full disk, a folder not to be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error}). Make room there, or mend its rights, and try again: "
            "what was downloaded is kept."
        ) from error


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _read_origin(path: Path) -> Origin | None:
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        origin = Origin(found["url"], found["version"], found["length"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None
    kinds = ((origin.url, str), (origin.version, str | None), (origin.length, int | None))
    return origin if all(isinstance(value, kind) for value, kind in kinds) else None
