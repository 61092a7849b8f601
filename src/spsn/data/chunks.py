"""Chunks of an HDF5 file and the trees that name them, judged before the library follows or unpacks them.

The library believes both: a tree that leads back to itself makes it crash, a chunk that unpacks to gigabytes
makes it take them.
"""

import mmap
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np
from h5py import h5t, h5z

MAX_SAMPLES = 1_000_000  # SHD has 8156
MAX_CHUNK = 67_108_864  # bytes, unpacked
CHECKSUM = 4  # bytes that Fletcher-32 puts behind a chunk
MAX_NODES = 100_000  # of B-trees; a million samples in chunks of one have some 30 thousand
MAX_CHILDREN = 256  # of a node; writers make them of 64 at most
KEYS = {0: 8, 1: 24}  # bytes of a key in the B-trees of groups (0), and of chunks (1) of lists


class Refused(ValueError):
    """What a file holds that is not read."""


class Chunk(NamedTuple):
    """Where a chunk of a list begins, in rows, and how many bytes it takes."""

    first: int
    size: int


def check_trees(file: h5py.File) -> None:
    """Raise Refused for B-trees whose nodes make no tree: the library follows a node that leads back to
    itself until it crashes, and four levels of nodes that each name one other 64 times for hours.

    A node is "TREE" | type 1 byte | level 1 | entries 2 | siblings 8 + 8 | key | child 8 | key | child 8 ...
    What was deleted may still stand in the file, so a node may well be named twice, but from none can more
    be reached than there are.
    """
    base = file.userblock_size
    with (
        open(file.filename, "rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        nodes = {at - base: (content[at + 4], content[at + 5]) for at in _nodes(content)}
        reached: dict[int, int] = {}
        for at in sorted(nodes, key=lambda at: nodes[at][1]):
            kind, level = nodes[at]
            below = [child for child in _children(content, base + at) if nodes.get(child, "")[:1] == (kind,)]
            if any(nodes[child][1] >= level for child in below):
                raise Refused(f"a node of a B-tree, at {at}, leads back")
            reached[at] = 1 + sum(reached[child] for child in below)
            if reached[at] > len(nodes):
                raise Refused(f"a node of a B-tree, at {at}, leads to {reached[at]} of {len(nodes)} nodes")


def _children(content: mmap.mmap, at: int) -> list[int]:
    """The addresses that the node at a place names, of nodes if its level is above 0."""
    if not content[at + 5]:
        return []
    key = KEYS[content[at + 4]]
    count = int.from_bytes(content[at + 6 : at + 8], "little")
    if count > MAX_CHILDREN:
        raise Refused(f"a node of a B-tree has {count} others below it, over MAX_CHILDREN = {MAX_CHILDREN}")
    places = (at + 24 + key + i * (key + 8) for i in range(count))
    return [int.from_bytes(content[place : place + 8], "little") for place in places]


def _nodes(content: mmap.mmap) -> Iterator[int]:
    """Where nodes of B-trees may stand. Raises Refused for over MAX_NODES."""
    at, count = content.find(b"TREE"), 0
    while 0 <= at < len(content) - 24:
        if content[at + 4] in KEYS:
            count += 1
            yield at
        if count > MAX_NODES:
            raise Refused(f"it holds more than MAX_NODES = {MAX_NODES} nodes of B-trees")
        at = content.find(b"TREE", at + 4)


def chunks(data: h5py.Dataset) -> list[Chunk]:
    """The chunks of the list `data`. Raises Refused for more than its rows need."""
    needed, found = -(-len(data) // data.chunks[0]), []

    def note(place) -> bool | None:
        found.append(Chunk(place.chunk_offset[0], place.size))
        return True if len(found) > min(needed, MAX_SAMPLES) else None  # the end of the search

    data.id.chunk_iter(note)
    if len(found) > min(needed, MAX_SAMPLES):
        raise Refused(f"{data.name} has more than the {needed} chunks that its {len(data)} entries need")
    return found


def check_chunks(data: h5py.Dataset) -> None:
    """Raise Refused for chunks that unpack to more than a chunk has: the library would make room for it all.

    Known are gzip, once, and what leaves the size as it is. Rows of variable length are judged by their own
    reader, which unpacks them itself; what is no list is never read.
    """
    if data.ndim != 1:
        return
    settings = data.id.get_create_plist()
    codes = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    if not codes or isinstance(data.id.get_type(), h5t.TypeVlenID):
        return
    strange = set(codes) - {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
    if strange or len(set(codes)) < len(codes):
        raise Refused(f"{data.name} is packed by the filters {codes}; only gzip is known")
    size = int(np.prod(data.chunks, dtype=float)) * data.id.get_type().get_size()
    if size > MAX_CHUNK:
        raise Refused(f"{data.name} is kept in chunks of {size} bytes, over MAX_CHUNK = {MAX_CHUNK}")
    found = chunks(data)
    if len(found) * size > 2 * MAX_CHUNK:  # they may all be one, which is unpacked again and again
        raise Refused(f"{data.name} has {len(found)} chunks of {size} bytes, over MAX_CHUNK = {MAX_CHUNK}")
    for chunk in found:
        _check_chunk(data, chunk, codes, size)


def _check_chunk(data: h5py.Dataset, chunk: Chunk, codes: list[int], size: int) -> None:
    if chunk.size > 2 * size + 1024:
        raise Refused(f"{data.name} has a chunk of {chunk.size} bytes for {size}")
    mask, raw = data.id.read_direct_chunk((chunk.first,))
    if h5z.FILTER_DEFLATE not in codes or mask >> codes.index(h5z.FILTER_DEFLATE) & 1:
        return
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(raw, size + 1024)
    except zlib.error as error:
        raise Refused(f"a chunk of {data.name} cannot be unpacked ({error})") from error
    if len(found) > size + CHECKSUM or not unpacking.eof and unpacking.unconsumed_tail:
        raise Refused(f"{data.name} has a chunk that unpacks to more than its {size} bytes")
