"""A folder of results that nobody vouches for: only plain files that lie inside it are opened.

A link that leads out, a pipe, a device or a folder in a file's place is named, not followed.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spsn.errors import RecordError
from spsn.files import digest, parse_json

LARGEST_JSON = 64 * 2**20  # bytes: far above any record, far below what would fill a laptop's memory


class ResultsFolder:
    """A folder of results, seen as names of files."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._real = Path(os.path.realpath(path))

    def unfit(self, name: str) -> str | None:
        """Why `name` is no plain file inside the folder; None where it is one."""
        path = self.path / name
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._real):
            return f"leads out of the folder, to {real}"
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            return "is missing" if isinstance(error, FileNotFoundError | NotADirectoryError) else str(error)
        if not stat.S_ISREG(mode):
            return "is not a plain file"
        return None if os.access(path, os.R_OK) else "may not be read"

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
            if self.size(name) > LARGEST_JSON:
                raise ValueError("larger than any file of this kind")
            content = parse_json((self.path / name).read_text(encoding="utf-8"))
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
