"""Make a file of spikes of its .zip or .gz archive: unpacked within a limit, checked, put into its place."""

import errno
import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from spsn.data.hdf5 import UnreadError, no_memory
from spsn.data.shd import Expectation, check_split, read_split
from spsn.errors import DataError

MAX_FILE_BYTES = 4 << 30  # SHD's larger file has about a tenth of that
BLOCK = 1 << 20
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA lets a file claim 4 GiB of memory
DAMAGE = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # a password; a way of packing that zipfile does not know
    ValueError,  # places before the beginning, names that are no text
    OverflowError,
    struct.error,
)


def place(packed: Path, store: Path, target: Path, expect: Expectation | None) -> None:
    """Unpack an archive below `store`, check the file, rename it into its place. Raises DataError for
    contents that are wrong, and UnreadError where this machine could not read them.
    """
    fresh = store / target.name  # always the same: what a killed process left is written over
    try:
        unpack(packed, target.name, fresh)
        check_split(read_split(fresh), fresh, expect=expect)
        os.replace(fresh, target)
    except MemoryError as error:
        raise UnreadError(no_memory(packed, error)) from error
    except UnreadError:
        raise
    except DataError as error:
        raise DataError(str(error).replace(str(fresh), f"unpacked, it is refused: {target.name}")) from error
    finally:
        fresh.unlink(missing_ok=True)


def unpack(packed: Path, name: str, target: Path) -> None:
    """Write the contents of a .gz, or of the one member of a .zip called `name` in any folder, to `target`.

    Raises DataError, without the paths, for an archive that is damaged, holds no such file, or would give
    more than MAX_FILE_BYTES. What was written until then stays: it is the caller's.
    """
    try:
        with packed.open("rb") as file, _contents(file, name) as contents, target.open("wb") as out:
            size = 0
            while block := contents.read(BLOCK):
                size += len(block)
                _check_size(size)
                out.write(block)
    except DAMAGE as error:
        raise DataError(f"the archive cannot be unpacked ({error})") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise DataError(f"the archive cannot be unpacked ({error.strerror})") from error


class Pieces:
    """A file of which no more than BLOCK bytes are read at once, for `zipfile`, which would read a table of
    contents of gigabytes, and keep ten times as much of it. Raises BadZipFile for more.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def seekable(self) -> bool:
        """Whether the file can be read in any order."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or all that are left."""
        found = self._file.read(size if 0 <= size <= BLOCK else BLOCK + 1)
        if len(found) > BLOCK:
            raise zipfile.BadZipFile(f"it asks for more than {BLOCK} bytes at once")
        return found


@contextmanager
def _contents(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    zipped = file.read(2) == b"PK"
    file.seek(0)
    if not zipped:
        with gzip.open(file) as stream:
            yield stream
        return
    with zipfile.ZipFile(Pieces(file)) as archive:
        members = [m for m in archive.infolist() if PurePosixPath(m.filename).name == name]
        if len(members) != 1:
            raise DataError(f"the archive holds {len(members)} files called {name}")
        if members[0].compress_type not in PACKED:
            raise DataError(f"{name} is packed in way {members[0].compress_type}; only deflate is known")
        _check_size(members[0].file_size)
        with archive.open(members[0]) as stream:
            yield stream


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"the archive would unpack to {size} bytes or more, over MAX_FILE_BYTES = {MAX_FILE_BYTES}"
        )
