"""HDF5 from strangers: what is read lies in the file itself, and is no more than the file can hold.

An HDF5 file can send its reader to other files (external and soft links, external storage, virtual data
sets), can claim any size, and can describe numbers whose conversion makes the library crash (a float of two
bytes that begins at bit 255). Nothing of that is followed: a data set must be linked directly, keep its own
values, stay within the limits below and hold IEEE floats, two's complement integers or texts.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5l, h5t

from spsn.data import chunks, heap
from spsn.data.checks import AGAIN
from spsn.data.chunks import MAX_SAMPLES, Refused
from spsn.errors import DataError
from spsn.files import error_number, require_file

MAX_ENTRIES = 65_536  # of a table of classes or speakers, which are numbered in 16 bits
MAX_TEXT = 16_777_216  # bytes of all texts of a table
MAX_TABLES = 64  # lists in a group; SHD has three
MAX_TABLE = 1_048_576  # characters of such a list, which take four bytes each in memory
MAX_BYTES = 16 << 30  # of a file: MAX_SPIKES spikes in the widest numbers, and some room
FLOATS = {2: (15, 10, 5, 0, 10), 4: (31, 23, 8, 0, 23), 8: (63, 52, 11, 0, 52)}  # IEEE 754: H5Tget_fields
BIASES = {2: 15, 4: 127, 8: 1023}
# What h5py raises, where a file is damaged, is of many kinds.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# What says nothing about the file: the disk or the line to it fails, or this process has used up its share.
OF_THIS_MACHINE = (
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EREMOTEIO,
)


class UnreadError(DataError):
    """A file that could not be read, and may well be sound."""


@contextmanager
def reading(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Yield the open file; a fault met while it is read becomes a DataError with the path and a remedy.

    Where it is this machine that fails, by its disk or for want of memory, that is an UnreadError.
    """
    path = Path(path)
    require_file(path, "Fetch it, or name the folder that holds it (data_dir).")
    try:
        with _opened(path) as file:
            chunks.check_trees(file)
            yield file
    except Refused as error:
        raise DataError(f"{path}: {error}. {AGAIN}") from error
    except MemoryError as error:
        raise UnreadError(no_memory(path, error)) from error
    except DAMAGE as error:
        if error_number(error) in OF_THIS_MACHINE:
            raise UnreadError(
                f"{path}: cannot be read ({error}). See to the disk, or to the line to it, and try again."
            ) from error
        raise DataError(f"{path}: damaged, or not in SHD's layout ({error}). {AGAIN}") from error


def no_memory(path: str | os.PathLike, error: BaseException) -> str:
    """What to say where reading `path` takes more memory than there is."""
    reason = f" ({error})" if str(error) else ""
    return (
        f"{path}: there is not enough memory to read it{reason}. Free some, or read it where there is more."
    )


def is_web_page(head: bytes) -> bool:
    """Whether a file's first bytes are those of HTML, which servers send instead of what they do not have."""
    return head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))


def _opened(path: Path) -> h5py.File:
    if (size := path.stat().st_size) > MAX_BYTES:  # a sparse file takes no room on the disk
        raise Refused(f"it has {size} bytes, over MAX_BYTES = {MAX_BYTES}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error_number(error) in OF_THIS_MACHINE:
            raise
        with path.open("rb") as file:
            page = is_web_page(file.read(512))
        raise Refused(
            "a web page, not an HDF5 file" if page else f"not a whole HDF5 file ({error})"
        ) from error


def find(file: h5py.File, name: str) -> h5py.Dataset | h5py.Group | None:
    """What `name` ("a/b") is in the file itself, or None.

    Raises Refused for a link, for values that lie elsewhere, and for chunks that would fill the memory.
    """
    item = file
    for part in name.split("/"):
        key = part.encode("utf-8", "surrogateescape")
        if not isinstance(item, h5py.Group) or not item.id.links.exists(key):
            return None
        if item.id.links.get_info(key).type != h5l.TYPE_HARD:
            raise Refused(f"/{name} is a link to elsewhere, which is not followed: a file holds its own data")
        item = item[part]
    if isinstance(item, h5py.Dataset):
        if item.external or item.is_virtual:
            raise Refused(f"/{name} keeps its values in other files, which are not read")
        if item.chunks and np.prod(item.chunks, dtype=float) > MAX_SAMPLES:
            raise Refused(
                f"/{name} is kept in chunks of {item.chunks} rows, over MAX_SAMPLES = {MAX_SAMPLES}"
            )
        chunks.check_chunks(item)
    return item


def names(group: h5py.Group) -> list[str]:
    """The names in a group. Raises Refused for over MAX_TABLES: a hundred thousand may be one list."""
    if len(group) > MAX_TABLES:
        raise Refused(f"{group.name} holds {len(group)} lists, over MAX_TABLES = {MAX_TABLES}")
    return list(group)


def check_list(data: h5py.Dataset, limit: int, limit_name: str) -> None:
    """Raise Refused unless `data` is a list (one dimension) with at most `limit` entries."""
    if data.ndim != 1 or data.shape is None:
        raise Refused(f"{data.name} has the shape {data.shape}, not that of a list")
    if len(data) > limit:
        raise Refused(f"{data.name} claims {len(data)} entries, over {limit_name} = {limit}")


def number_type(kind: h5t.TypeID) -> np.dtype | None:
    """NumPy's name of a number as the file keeps it; None for what is no ordinary number."""
    size = kind.get_size()
    if not isinstance(kind, h5t.TypeFloatID | h5t.TypeIntegerID) or size not in (1, 2, 4, 8):
        return None
    if (
        kind.get_order() not in (h5t.ORDER_LE, h5t.ORDER_BE)
        or kind.get_offset()
        or kind.get_precision() != 8 * size
    ):
        return None
    order = "<" if kind.get_order() == h5t.ORDER_LE else ">"
    if isinstance(kind, h5t.TypeIntegerID):
        return np.dtype(f"{order}{'u' if kind.get_sign() == h5t.SGN_NONE else 'i'}{size}")
    ordinary = kind.get_fields() == FLOATS.get(size) and kind.get_ebias() == BIASES.get(size)
    return np.dtype(f"{order}f{size}") if ordinary else None


def whole_numbers(data: h5py.Dataset) -> np.ndarray:
    """The list `data` of whole numbers, one per sample. Raises Refused for anything else."""
    check_list(data, MAX_SAMPLES, "MAX_SAMPLES")
    kind = number_type(data.id.get_type())
    if kind is None or kind.kind not in "iu":
        raise Refused(f"{data.name} holds {_kind_name(data)}, not whole numbers")
    return data[()]


def row_type(data: h5py.Dataset, kinds: str, what: str) -> np.dtype:
    """The type of the rows' entries. Raises Refused unless `data` is a list of rows of one of `kinds`."""
    check_list(data, MAX_SAMPLES, "MAX_SAMPLES")
    rows = data.id.get_type()
    kind = number_type(rows.get_super()) if isinstance(rows, h5t.TypeVlenID) else None
    if kind is None or kind.kind not in kinds:
        raise Refused(f"{data.name} holds {_kind_name(data)}, not rows of {what} of variable length")
    return kind


def texts(data: h5py.Dataset) -> list[str]:
    """The list `data` of texts, whichever way the file keeps them; bytes that are no UTF-8 are replaced."""
    check_list(data, MAX_ENTRIES, "MAX_ENTRIES")
    kind = data.id.get_type()
    if not isinstance(kind, h5t.TypeStringID):
        raise Refused(f"{data.name} holds {_kind_name(data)}, not text")
    rows = heap.references(data) if kind.is_variable_str() else None
    claimed = len(data) * kind.get_size() if rows is None else int(rows["length"].sum(dtype=np.int64))
    if claimed > MAX_TEXT:
        raise Refused(f"{data.name} claims {claimed} bytes of text, over MAX_TEXT = {MAX_TEXT}")
    if rows is None:
        return [text.decode("utf-8", "replace") for text in data[()]]
    letters = heap.read_rows(data, rows, np.dtype("u1"), lambda row: row).tobytes()
    ends = heap.offsets_of(rows["length"])
    parts = (letters[begin:end] for begin, end in zip(ends[:-1], ends[1:], strict=True))
    return [part.partition(b"\0")[0].decode("utf-8", "replace") for part in parts]


def table(data: h5py.Dataset) -> np.ndarray | None:
    """A list of texts or numbers, one per speaker; None where it is neither."""
    if data.shape is None or data.ndim != 1 or len(data) > MAX_ENTRIES:
        return None
    kind = data.id.get_type()
    if isinstance(kind, h5t.TypeStringID):
        found = texts(data)
        fits = len(found) * max(map(len, found), default=0) <= MAX_TABLE  # in NumPy all are as long as one
        return np.array(found, str) if fits else None
    return data[()] if number_type(kind) is not None else None


def _kind_name(data: h5py.Dataset) -> str:
    try:
        kind = h5py.check_vlen_dtype(data.dtype)
        return "text" if kind is str or h5py.check_string_dtype(data.dtype) else f"{kind or data.dtype}"
    except TypeError:
        return "values of an unknown type"
