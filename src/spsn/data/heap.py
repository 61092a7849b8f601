"""Rows of variable length in an HDF5 file, read past the library, so that no claim of theirs is believed.

A row is a reference, and its entries lie in a global heap (HDF5 File Format Specification 3.0, "Global Heap";
little-endian)::

    reference     length of the row 4 bytes | address of the heap 8 | index in the heap 4
    heap          "GCOL" | version 1 | 3 zeros | size of the heap 8 | objects | free space
    object        index 2 bytes | count 2 | 4 zeros | size in bytes 8 | its bytes, padded to 8

The library (HDF5 2.0) asks for as much memory as a reference says before it looks at the heap (10^9 spikes:
2 GB and six seconds). Here all lengths are judged before anything is read: by MAX_SPIKES, and by the size of
the file, since heaps are not compressed and no writer lets rows share one object.
"""

import os
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import h5py
import numpy as np
from h5py import h5d, h5z

from spsn.data.chunks import Refused, chunks
from spsn.data.spikes import offsets_of
from spsn.errors import DataError

MAX_SPIKES = 900_000_000  # SHD has some 63 million; ten times as many shall still be read
REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
HEAP = np.dtype([("signature", "S4"), ("version", "u1"), ("reserved", "V3"), ("size", "<u8")])
OBJECT = np.dtype([("index", "<u2"), ("count", "<u2"), ("reserved", "<u4"), ("size", "<u8")])
MAX_OBJECTS = 65_536  # in one heap, since their index has 16 bits


def references(data: h5py.Dataset) -> np.ndarray:
    """The references (n,) of the rows of `data`; no row is read.

    Raises Refused for references that are kept in a way in which they cannot be judged.
    """
    settings = data.id.get_create_plist()
    if data.file.id.get_create_plist().get_sizes()[0] != 8:
        raise Refused("its addresses are not of 8 bytes")
    if settings.get_layout() == h5d.CHUNKED:
        return _chunked(data, settings)
    if settings.get_layout() == h5d.CONTIGUOUS:
        return _contiguous(data)
    raise Refused(f"{data.name} is kept neither in one piece nor in chunks")


def check_claims(data: h5py.Dataset, rows: np.ndarray, entry_bytes: int) -> None:
    """Raise Refused where the references `rows` (n,) claim over MAX_SPIKES, or more than the file holds."""
    lengths, size = rows["length"].astype(np.int64), _file_size(data)
    total = int(lengths.sum())
    if total > MAX_SPIKES or total * entry_bytes > size:
        limit = f"over MAX_SPIKES = {MAX_SPIKES}" if total > MAX_SPIKES else f"but the file has {size} bytes"
        row = lengths.argmax()
        raise Refused(f"{data.name} claims {total} entries (row {row} alone {lengths[row]}), {limit}")


def read_rows(
    data: h5py.Dataset, rows: np.ndarray, kind: np.dtype, convert: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The rows of `data` end to end, each converted; `kind` is the type of their entries in the file.

    Raises Refused where a heap is not what the references `rows` (n,), judged by `check_claims`, say it is.
    """
    offsets = offsets_of(rows["length"])
    flat = np.empty(offsets[-1], convert(np.empty(0, kind)).dtype)
    filled = np.flatnonzero(rows["length"])
    order = filled[np.argsort(rows["address"][filled], kind="stable")]
    with open(data.file.filename, "rb") as file:
        heaps = _heaps(file, rows["address"][order], data.file.userblock_size, _file_size(data))
        for i, (body, objects) in zip(order, heaps, strict=True):
            begin, size = objects.get(int(rows["index"][i]), (0, -1))
            length = int(rows["length"][i])
            if size != length * kind.itemsize:
                raise Refused(f"row {i} of {data.name} claims {length} entries, which are not there")
            flat[offsets[i] : offsets[i + 1]] = convert(np.frombuffer(body, kind, length, begin))
    return flat


def _heaps(file: BinaryIO, addresses: np.ndarray, base: int, limit: int) -> Iterator[tuple[bytes, dict]]:
    """The heap at each of the ascending `addresses`: its bytes, its objects' places and sizes by index."""
    last, heap, total = None, None, 0
    for address in addresses.tolist():
        if address != last:
            if address > limit:
                raise Refused(f"a heap at {address}, behind the end of the file")
            file.seek(base + address)
            head = file.read(HEAP.itemsize)
            found = np.frombuffer(head.ljust(HEAP.itemsize, b"\0"), HEAP)[0]
            size = int(found["size"])
            total += size  # heaps do not overlap: together they are no greater than the file
            if found["signature"] != b"GCOL" or size < HEAP.itemsize or total > limit:
                raise Refused(f"no sound heap at {address}")
            body = head + file.read(size - len(head))
            last, heap = address, (body, _objects(body))
        yield heap


def _objects(body: bytes) -> dict[int, tuple[int, int]]:
    found, at = {}, HEAP.itemsize
    while at + OBJECT.itemsize <= len(body) and len(found) < MAX_OBJECTS:
        index = int.from_bytes(body[at : at + 2], "little")
        size = int.from_bytes(body[at + 8 : at + 16], "little")
        at += OBJECT.itemsize
        if index == 0 or index in found or size > len(body) - at:  # what remains is free, or not sound
            break
        found[index] = at, size
        at += -(-size // 8) * 8
    return found


def _contiguous(data: h5py.Dataset) -> np.ndarray:
    begin = data.id.get_offset()
    if begin is None:  # never written: every row is empty
        return np.zeros(len(data), REFERENCE)
    with open(data.file.filename, "rb") as file:
        file.seek(begin)
        return np.frombuffer(file.read(len(data) * REFERENCE.itemsize), REFERENCE, len(data))


def _chunked(data: h5py.Dataset, settings) -> np.ndarray:
    found = np.zeros(len(data), REFERENCE)  # a chunk that was never written has empty rows
    rows = data.chunks[0]
    for first, size in chunks(data):
        if size > 2 * rows * REFERENCE.itemsize + 1024:
            raise Refused(f"{data.name} has a chunk of {size} bytes for {rows} rows")
        mask, raw = data.id.read_direct_chunk((first,))
        part = np.frombuffer(_unpacked(raw, mask, settings, rows * REFERENCE.itemsize), REFERENCE, rows)
        found[first : first + rows] = part[: max(len(data) - first, 0)]
    return found


def _unpacked(raw: bytes, mask: int, settings, size: int) -> bytes:
    """A chunk of `size` bytes without its filters, of which HDF5 allows references one alone: gzip."""
    for i in reversed(range(settings.get_nfilters())):
        code, _, _, name = settings.get_filter(i)
        if mask >> i & 1:
            continue
        if code != h5z.FILTER_DEFLATE:
            raise Refused(f"it is packed by {name.decode(errors='replace')}; only gzip is known")
        try:
            raw = zlib.decompressobj().decompress(raw, size)
        except zlib.error as error:
            raise Refused(f"a chunk cannot be unpacked ({error})") from error
    return raw


def _file_size(data: h5py.Dataset) -> int:
    try:
        return os.stat(data.file.filename).st_size
    except OSError as error:
        raise DataError(f"{data.file.filename}: cannot be read any more ({error.strerror})") from error
