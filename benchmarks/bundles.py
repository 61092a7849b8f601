"""Finished runs in compressed files that can be carried from one machine to another.

A bundle is a .tar.gz with

    index.json                                                   which runs are in it, of which sources
    runs/<experiment>/<model>/<condition>/seed<k>.json           the record of a finished run
    runs/<experiment>/<model>/<condition>/seed<k>.safetensors    its weights, where they were asked for
    checkpoints/.../seed<k>.epoch<e>.safetensors                 the state of a run that was stopped

below a results folder, and nothing else: `unpack` refuses whatever has another name or is no plain file.
Where one file would be larger than `most` bytes several are written, each with an index of its own.
"""

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spsn.errors import RecordError
from spsn.files import parse_object, whole_file

INDEX = "index.json"
_FOLDER = r"[A-Za-z0-9][\w.-]*"
NAMES = re.compile(
    rf"runs/({_FOLDER}/){{3}}seed\d+\.(json|safetensors)"
    rf"|checkpoints/({_FOLDER}/){{3}}seed\d+\.epoch\d+\.safetensors"
)
LARGEST = 1 << 28  # bytes of one file in a bundle
NUMBERED = re.compile(r"bundle-(\d+)(-\d+)?\.tar\.gz")


def next_number(folder: Path, others: Iterable[Path]) -> int:
    """The number of the next bundle: above those in a folder and those of other bundles' names."""
    names = [path.name for path in (*folder.glob("bundle-*"), *others)]
    return max((int(found[1]) for name in names if (found := NUMBERED.fullmatch(name))), default=0) + 1


def pack(
    results: Path, names: Sequence[str], folder: Path, number: int, about: dict[str, Any], most: int
) -> dict[Path, list[str]]:
    """Write the files `names`, relative to `results`, into bundles of at most `most` bytes where that can be.

    about: what the index says besides `files`. Returns the files in each bundle; no bundle where there are
    none.
    """
    parts: list[list[str]] = []
    room = 0
    for name in names:
        size = len(zlib.compress((results / name).read_bytes(), 6)) + 1024
        if not parts or size > room:
            parts.append([])
            room = int(0.98 * most) - 4096
        parts[-1].append(name)
        room -= size
    written = {}
    for count, part in enumerate(parts, start=1):
        path = folder / f"bundle-{number}{f'-{count}' if count > 1 else ''}.tar.gz"
        _write(path, results, part, {**about, "files": part})
        written[path] = part
    return written


def _write(path: Path, results: Path, names: Sequence[str], index: dict[str, Any]) -> None:
    """One bundle; the same files give the same bytes."""
    with (
        whole_file(path) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        _add(tar, INDEX, json.dumps(index, indent=1).encode())
        for name in names:
            _add(tar, name, (results / name).read_bytes())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def unpack(path: Path, results: Path) -> dict[str, Any]:
    """Put a bundle's files below `results` and return its index.

    Raises `RecordError` for a file that is no whole bundle, or holds what does not belong into one; nothing
    is written then.
    """
    try:
        with tarfile.open(path, "r:gz") as tar:
            contents = {member.name: _content(path, tar, member) for member in tar}
        index = parse_object(contents.pop(INDEX).decode())
        complete = set(index["files"]) == set(contents) and {"sources", "runs"} <= set(index)
    except (OSError, EOFError, zlib.error, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: no whole bundle ({error}); carry it over again") from error
    if not complete:
        raise RecordError(f"{path}: does not hold what its index says; carry it over again")
    for name, content in contents.items():
        with whole_file(results / name) as temporary:
            temporary.write_bytes(content)
    return index


def _content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    known = member.name == INDEX or NAMES.fullmatch(member.name)
    if not (known and member.isreg() and member.size <= LARGEST):
        raise RecordError(f"{path}: holds {member.name!r}, which does not belong into a bundle; leave it out")
    return tar.extractfile(member).read()
