"""What is said of recordings: in a table, or in the names of their files.

A table is a CSV file in UTF-8, with commas, semicolons or tabs between its columns `file` (relative to the
folder of recordings, suffix included), `label`, and perhaps `speaker` and `split` (train or test). Other
columns are ignored.

A pattern names the same things in the paths of the audio files below the folder, as in
`{label}_{speaker}_{take}.wav` or `{split}/{label}-{speaker}-{take}.flac`. Other names in braces stand for
anything; none for nothing, and none for a slash. A name that comes twice stands for the same text both times.
A file that does not fit, or fits in more than one way, is refused.
"""

import csv
import difflib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spsn.errors import DataError

NEEDED, OPTIONAL = ("file", "label"), ("speaker", "split")
SUFFIXES = {".wav", ".flac"}
DELIMITERS = ",;\t"
NAMED = 10  # faults that a message tells; the others are counted
FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """What is said of one file, "" where nothing is; `where` says where it is said, for messages."""

    file: str
    label: str
    speaker: str
    split: str
    where: str


def several(faults: Sequence[str]) -> str:
    """Say the first of many faults, and how many more there are."""
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return "; ".join(faults[:NAMED]) + more


# --- tables ----------------------------------------------------------------------------------------


def by_table(folder: Path, source: str) -> list[Entry]:
    """Return the rows of a table, which lies where its path says, or below `folder`. Raises DataError."""
    table = Path(source).expanduser()
    table = folder / table if not table.is_file() and (folder / table).is_file() else table
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: not a table in UTF-8 ({error}). Save it as CSV in UTF-8.") from error
    except OSError as error:
        raise DataError(
            f"{table}: cannot be read ({error.strerror}). Name a table, or a pattern such as "
            "'{label}_{speaker}_{take}.wav'."
        ) from error
    titles, delimiter = _header(text, table)
    columns = {title: titles.index(title) for title in (*NEEDED, *OPTIONAL) if title in titles}
    entries, faults = [], []
    for line, row in _rows(text, delimiter, table):
        empty = [title for title, place in columns.items() if not "".join(row[place : place + 1])]
        if len(row) != len(titles):
            faults.append(f"line {line}: {len(row)} cells under {len(titles)} columns")
        elif empty:
            faults.append(f"line {line}: nothing under {empty[0]!r}")
        else:
            entries.append(_entry({title: row[place] for title, place in columns.items()}, line))
    if faults or not entries:
        raise DataError(f"{table}: {several(faults) or 'lists no recordings'}. Mend the table.")
    return entries


def _entry(cells: dict[str, str], line: int) -> Entry:
    file = PurePosixPath(cells["file"].replace("\\", "/"))
    return Entry(str(file), cells["label"], cells.get("speaker", ""), cells.get("split", ""), f"line {line}")


def _header(text: str, table: Path) -> tuple[list[str], str]:
    """Return the titles of the columns, and what stands between them."""
    first = text.partition("\n")[0]
    for delimiter in DELIMITERS:
        titles = [title.strip().strip('"').lower() for title in first.split(delimiter)]
        if set(NEEDED) <= set(titles):
            break
    else:
        raise DataError(
            f"{table}: line 1: no columns {' and '.join(NEEDED)} in {first[:200]!r}. Name the columns there, "
            "with commas, semicolons or tabs between them."
        )
    for title in (*NEEDED, *OPTIONAL):
        if titles.count(title) > 1:
            raise DataError(f"{table}: line 1: two columns {title!r}. Leave one of them.")
        near = difflib.get_close_matches(title, titles, 1, 0.8)
        if title not in titles and near:
            raise DataError(f"{table}: line 1: is the column {near[0]!r} meant to be {title!r}? Rename it.")
    return titles, delimiter


def _rows(text: str, delimiter: str, table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the header that are not blank, behind their line numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{table}: line {reader.line_num}: {error}. Mend the table.") from error


# --- patterns --------------------------------------------------------------------------------------


def by_pattern(folder: Path, pattern: str) -> list[Entry]:
    """Return what the paths of the audio files below `folder` say. Raises DataError."""
    lazy, greedy = _compiled(pattern, "+?"), _compiled(pattern, "+")
    files = sorted(_audio_files(folder))
    if not files:
        raise DataError(f"{folder}: holds no .wav or .flac file. Name the folder that holds the recordings.")
    strangers, unclear, entries = [], [], []
    for file in files:
        found = lazy.fullmatch(_plain(file))
        if not found:
            strangers.append(file)
        elif found.groups() != greedy.fullmatch(_plain(file)).groups():
            unclear.append(file)
        else:
            said = found.groupdict("")
            entries.append(Entry(file, said["label"], said.get("speaker", ""), said.get("split", ""), file))
    for bad, what in ((strangers, "do not fit"), (unclear, "fit in more than one way")):
        if bad:
            raise DataError(
                f"{folder}: {len(bad)} of {len(files)} audio files {what} the pattern {pattern!r}: "
                f"{several(bad)}. Change the pattern, move these files away, or give a table."
            )
    return entries


def _compiled(pattern: str, repeat: str) -> re.Pattern:
    pieces = FIELD.split(_plain(pattern))  # text, field, text, ..., text
    if "label" not in pieces[1::2] or any(brace in text for text in pieces[::2] for brace in "{}"):
        raise DataError(
            f"{pattern!r}: not a pattern of file names. Name what stands in them in braces, {{label}} at "
            "least, as in '{label}_{speaker}_{take}.wav'."
        )
    made = [re.escape(pieces[0])]
    for i in range(1, len(pieces), 2):
        field, text = pieces[i], pieces[i + 1]
        again = field in pieces[1:i:2]
        made.append(f"(?P={field})" if again else f"(?P<{field}>[^/]{repeat})")
        made.append(re.escape(text))
    return re.compile("".join(made))


def _plain(path: str) -> str:
    """Return the path with an audio suffix in lower case: .WAV and .wav are one."""
    stem, suffix = os.path.splitext(path)
    return stem + suffix.lower() if suffix.lower() in SUFFIXES else path


def _audio_files(folder: Path) -> Iterator[str]:
    """Yield the audio files below `folder`, less hidden ones, which some systems put beside every file."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield (Path(place) / name).relative_to(folder).as_posix()
