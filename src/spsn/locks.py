"""One process at a time: a file that is held by whoever works on what it stands for.

The lock (flock) ends with the process, however that ends; a file that is left over holds nobody up.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO, IOBase
from pathlib import Path

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # what a file system without locks answers


@contextmanager
def held(path: Path) -> Iterator[tuple[FileIO, bool]]:
    """Hold the file `path`, made where it is absent, against other processes, and append to it.

    Yields it and whether the lock had to be waited for. The holder may rename or remove the file: whoever
    waited for it then finds that it is no longer `path`, and takes what is.
    """
    waited = False
    while True:
        with _made(path) as file:
            waited = take(file, path) or waited
            if is_still(file, path):
                yield file, waited
                return


def _made(path: Path) -> FileIO:
    """Open the file, made where it is absent with its folder, which another process may remove meanwhile."""
    for last in [False] * 100 + [True]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return opened(path)
        except FileNotFoundError:
            if last:
                raise


def opened(path: Path) -> FileIO:
    """Open a file to be appended to and read, made where it is absent."""
    return open(path, "r+b", buffering=0, opener=_open)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_APPEND, 0o666)


def take(file: FileIO, path: Path) -> bool:
    """Take the lock on an open file; whether that meant to wait."""
    if take_if_free(file, path):
        return False
    log.warning("%s: another process is at work on it; waiting until it ends", path)
    fcntl.flock(file, fcntl.LOCK_EX)
    return True


def take_if_free(file: IOBase, path: Path, heed: str = "let one process at a time do this") -> bool:
    """Take the lock on an open file without waiting; False where another process has it.

    Where the file system has no locks the file counts as taken, and a warning says what to `heed`. Raises
    OSError where a lock cannot be had for any other reason.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning("%s: this file system has no locks (%s); %s", path, error, heed)
    return True


def is_still(file: FileIO, path: Path) -> bool:
    """Whether an open file is still the one called `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
