"""Files that appear whole: written beside their place, then renamed into it.

What a person can put right (a full disk, a folder that may not be written, a folder where a file is expected)
is said as such, with the path: nobody who uses these functions need think of it.
"""

import csv
import errno
import glob
import hashlib
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spsn.errors import DataError, SpsnError

# Nothing else than the disk gives these, whichever library reports them, with a path or without.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system that cannot be asked to
LARGEST_JSON = 64 << 20  # bytes: far above any record, far below what would fill a laptop's memory


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place on success, remove it on failure.

    A reader therefore sees the old file or the new one, never a part of either, whenever the writer is killed
    or the power fails: all of it is on the disk before it gets its name. Its rights are what the umask
    leaves. Raises SpsnError, naming `path`, where the disk is full or the place may not be written; any other
    error passes through as it is.
    """
    target = Path(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary, mode = _beside(target)
        yield temporary
        _sync(temporary)
        os.chmod(temporary, mode)  # a library may have made it anew
        os.replace(temporary, target)
    except Exception as error:
        reason = _unwritable(error, target, temporary)
        if reason is None:
            raise
        raise refusal(target, error_number(error), reason) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _beside(target: Path) -> tuple[Path, int]:
    """A new, empty file beside `target`, and its mode."""
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return temporary, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Have all of a file on the disk: its name may else get there first, and stand for nothing."""
    with open(path, "rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise OSError(error.errno, error.strerror, str(path)) from error


def clear_unfinished(path: str | os.PathLike) -> None:
    """Remove what writers of `path` that were killed have left beside it. For whom nobody else writes it."""
    target = Path(path)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        left.unlink(missing_ok=True)


def _unwritable(error: Exception, target: Path, temporary: Path | None) -> str | None:
    """Why `target` could not be written, if that is what `error` says; None for an error of another kind."""
    number = error_number(error)
    if number in NO_ROOM:
        return os.strerror(number)
    ours = {str(place) for place in (target, temporary, *target.parents) if place is not None}
    if isinstance(error, OSError) and (temporary is None or str(error.filename) in ours):
        return error.strerror or str(error)
    return None


def refusal(target: Path, number: int | None, reason: str) -> SpsnError:
    """What tells a person that `target` could not be written, why, and what to do, for an error's number."""
    remedy = "Make room there, mend its rights, or name another file."
    astray = [place for place in target.parents if os.path.islink(place) and not os.path.exists(place)]
    if astray:
        reason = f"{astray[0]} is a link to {os.readlink(astray[0])}, which is not there"
        remedy = "Make that folder, mount its disk, or mend the link."
    elif number == errno.ENOSPC and _holds_no_more_files(target):
        remedy = "Its file system has room, but can hold no more files (df -i): remove some there."
    elif number == errno.EFBIG:
        remedy = "Raise the limit on the size of files (ulimit -f), or name another file."
    elif number in (errno.EMFILE, errno.ENFILE):
        remedy = "Raise the limit on open files (ulimit -n)."
    return SpsnError(f"{target}: cannot be written ({reason}). {remedy}")


def _holds_no_more_files(target: Path) -> bool:
    try:
        found = os.statvfs(target.parent)
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0


def error_number(error: BaseException) -> int | None:
    """The system's number of an error, also where HDF5 and safetensors put it into their words alone."""
    if number := getattr(error, "errno", None):
        return number
    found = re.search(r"(?:\berrno = |\bos error )(\d+)", str(error))
    return int(found[1]) if found else None


def require_file(path: str | os.PathLike, remedy: str) -> None:
    """Raise DataError unless `path` is a file that can be read; `remedy` is what to do where there is none.

    A pipe or a device, from which reading might never end, is not opened.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such file. {remedy}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read ({reason}). Mend its rights, or name another file."
        ) from error
    raise DataError(f"{path}: {_kind(mode)}, not a file. Name the file itself.")


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"


def check_regular(path: str | os.PathLike) -> int:
    """The bytes in a regular file, which is not opened.

    Raises OSError where there is none, and for a folder, a pipe or a device, from which reading might never
    end.
    """
    found = os.stat(path)
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
    raise OSError(number, f"{_kind(found.st_mode)}, not a file", os.fspath(path))


def check_size(path: str | os.PathLike, largest: int) -> int:
    """The bytes in a regular file of `largest` at most, which is not opened.

    Raises OSError as `check_regular` does, and ValueError for a larger one: a sparse file of a terabyte takes
    no room on the disk, and would fill the memory.
    """
    size = check_regular(path)
    if size > largest:
        raise ValueError(f"it has {size} bytes, and no sound file of its kind over {largest}")
    return size


def read_text(path: str | os.PathLike, largest: int = LARGEST_JSON) -> str:
    """The text (UTF-8) of a file of `largest` bytes at most.

    Raises OSError and ValueError as `check_size` does, and ValueError for bytes that are no UTF-8.
    """
    size = check_size(path, largest)
    with open(path, "rb") as file:
        return file.read(size).decode("utf-8")


def digest(path: str | os.PathLike, algorithm: str = "sha256") -> str:
    """The digest (hex) of a file's bytes, read piece by piece; `algorithm` as `hashlib` names it.

    Raises OSError, as reading the file does, and for what is no regular file.
    """
    check_regular(path)
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return found.hexdigest()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) so that `path` appears whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write `value` as indented JSON (NaN refused), lists of numbers on one line, so that `path` appears
    whole.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    write_text(
        path, re.sub(r"\[\s+[-+.\deE,\s]*\]", lambda found: " ".join(found.group().split()), text) + "\n"
    )


def parse_json(text: str, *, finite: bool = True) -> Any:
    """The value that JSON `text` stands for, whoever wrote it.

    Raises ValueError for anything else, for lists within lists beyond what the interpreter can follow, and,
    with `finite`, for numbers that are not finite, however they are written (NaN, Infinity, 1e999).
    """
    how = {"parse_constant": _finite, "parse_float": _finite} if finite else {}
    try:
        return json.loads(text, **how)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` stands for. Raises ValueError for anything else, as `parse_json` does."""
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:40]}, which is no finite number")
    return value


def write_rows(rows: Iterable[Mapping[str, object]], path: str | os.PathLike, columns: Iterable[str]) -> None:
    """Write mappings as a CSV file of `columns` that appears whole."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
