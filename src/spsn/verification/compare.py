"""Two files of one name held against each other: tables cell by cell, text line by line, pictures by bytes.

Numbers agree within a relative 1e-9: the last bits of a sum differ between machines and libraries, a digit of
a published table never does.
"""

import csv
import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

TOLERANCE = 1e-9
LONGER = 10  # times: a table so much longer than it should be is not read
SHOWN = 60  # characters of a text that a line shows


def differences(name: str, found: Path, expected: Path) -> list[str]:
    """How `found` differs from `expected`, a line each; empty where it does not.

    Raises OSError, ValueError, UnicodeDecodeError included, or csv.Error where `found` cannot be read.
    """
    size, wanted = found.stat().st_size, expected.stat().st_size
    if size > LONGER * wanted + 2**20:
        return [f"{size} bytes, expected {wanted}"]
    if name.endswith(".csv"):
        return list(_cells(_rows(found), _rows(expected)))
    if name.endswith(".tex"):
        return list(_lines(found, expected))
    same = found.read_bytes() == expected.read_bytes()
    return [] if same else ["other bytes than drawn from the records with the same versions"]


def _rows(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, strict=True))


def _cells(found: list[list[str]], expected: list[list[str]]) -> Iterator[str]:
    header, wanted = (found or [[]])[0], expected[0]
    if header != wanted:
        yield f"columns {_short(','.join(header))}, expected {_short(','.join(wanted))}"
        return
    if len(found) != len(expected):
        yield f"{len(found) - 1} lines, expected {len(expected) - 1}"
        return
    for number, (row, other) in enumerate(zip(found[1:], expected[1:], strict=True), 1):
        for place, (cell, right) in enumerate(zip_longest(row, other, fillvalue="")):
            if not _equal(cell, right):
                column = wanted[place] if place < len(wanted) else place + 1
                here, there = _around(cell, right)
                yield f"line {number}, {column}: {_short(here)}, expected {_short(there)}"


def _equal(cell: str, other: str) -> bool:
    if cell == other:
        return True
    try:
        return math.isclose(float(cell), float(other), rel_tol=TOLERANCE, abs_tol=1e-12)
    except ValueError:
        return False


def _lines(found: Path, expected: Path) -> Iterator[str]:
    lines = (path.read_text(encoding="utf-8").splitlines() for path in (found, expected))
    for number, (line, right) in enumerate(zip_longest(*lines, fillvalue=""), 1):
        if line != right:
            here, there = _around(line, right)
            yield f"line {number}: {_short(here)}, expected {_short(there)}"


def _around(line: str, other: str) -> tuple[str, str]:
    """Both texts from a little before the first character in which they differ."""
    same = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), None)
    start = max(0, (min(len(line), len(other)) if same is None else same) - SHOWN // 3)
    return line[start:], other[start:]


def _short(text: str) -> str:
    """The text in quotes, without what a terminal would obey, cut where it is long."""
    return ascii(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")
