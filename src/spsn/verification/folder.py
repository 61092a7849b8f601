"""A folder of results that nobody vouches for: only plain files that lie inside it are opened.

A link that leads out, a pipe, a device or a folder in a file's place is named, not followed; so is what is
larger than any sound file of its kind.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spsn.errors import RecordError
from spsn.files import LARGEST_JSON, digest, parse_json, read_text

LARGEST_TABLE = 64 << 20  # bytes: over a million samples, or 300,000 runs
LARGEST_FILE = 8 << 30  # bytes of all others, of which weights may have half; they are read piece by piece
LONGEST_LINE = 1 << 16  # bytes of a table's line: each of its cells may become a column
LARGEST = {".json": LARGEST_JSON, ".csv": LARGEST_TABLE}


class ResultsFolder:
    """A folder of results, seen as names of files."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._real = Path(os.path.realpath(path))

    def unfit(self, name: str) -> str | None:
        """Why `name` is no plain file inside the folder, or is too large; None where it is one."""
        path = self.path / name
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._real):
            return f"leads out of the folder, to {real}"
        try:
            found = os.stat(path)
        except OSError as error:
            return "is missing" if isinstance(error, FileNotFoundError | NotADirectoryError) else str(error)
        if not stat.S_ISREG(found.st_mode):
            return "is not a plain file"
        if found.st_size > (largest := LARGEST.get(path.suffix, LARGEST_FILE)):
            return f"has {found.st_size} bytes, and no sound file of its kind over {largest}"
        return None if os.access(path, os.R_OK) else "may not be read"

    def overlong(self, name: str) -> str | None:
        """Which line of a table that is not `unfit` is over LONGEST_LINE; None where none is.

        A header of nothing but commas would make a table of millions of columns.
        """
        if not name.endswith(".csv"):
            return None
        try:
            with open(self.path / name, "rb") as file:
                lines = iter(lambda: file.readline(LONGEST_LINE + 1), b"")
                long = next((i for i, line in enumerate(lines, 1) if len(line) > LONGEST_LINE), None)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return long and f"its line {long} has over LONGEST_LINE = {LONGEST_LINE} bytes"

    def holds(self, name: str) -> bool:
        """Whether there is anything under this name, a broken link too."""
        return os.path.lexists(self.path / name)

    def digest(self, name: str) -> str:
        """SHA-256 (hex) of a file that is not `unfit`."""
        return digest(self.path / name)

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file. Raises `RecordError` saying what is wrong with it."""
        if reason := self.unfit(name):
            raise RecordError(reason)
        try:
            content = parse_json(read_text(self.path / name))
        except (OSError, ValueError) as error:
            raise RecordError(f"cannot be read as JSON ({error})") from error
        if not isinstance(content, dict):
            raise RecordError("is no JSON object")
        return content

    def size(self, name: str) -> int:
        """Bytes in a file. Raises OSError."""
        return os.path.getsize(self.path / name)

    def names(self, folders: Iterable[str]) -> Iterator[str]:
        """Every file or link below these folders, links not followed."""
        for top in folders:
            if os.path.islink(self.path / top):
                yield top
                continue
            for folder, inner, files in os.walk(self.path / top):
                links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
                for name in sorted((*files, *links)):
                    yield Path(folder, name).relative_to(self.path).as_posix()
