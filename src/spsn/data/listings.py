"""What is said of recordings in a table, and which files a folder of recordings holds.

A table is a CSV file in UTF-8, with commas, semicolons or tabs between its columns `file` (relative to the
folder of recordings, suffix included), `label`, and perhaps `speaker` and `split` (train or test). Other
columns are ignored.

Links are followed; audio files of other kinds than WAV and FLAC are passed over with a warning.
"""

import csv
import difflib
import io
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spsn.errors import DataError
from spsn.files import require_file

log = logging.getLogger(__name__)

NEEDED, OPTIONAL = ("file", "label"), ("speaker", "split")
SUFFIXES = {".wav", ".flac"}
OTHERS = re.compile(
    r"\.(3gp|aac|aif[cf]?|amr|ape|au|caf|m4a|mp[23]|og[ag]|opus|snd|sph|w64|wave|webm|wma|wv)",
    re.IGNORECASE,
)
DELIMITERS = ",;\t"
LARGEST_TABLE = 64 * 2**20  # bytes: a million recordings
LONGEST_HEADER = 4096  # characters of the titles, each of which is held against those that are known
NAMED = 10  # faults that a message tells; the others are counted


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


def table_path(folder: str | os.PathLike, labels: str | os.PathLike) -> Path | None:
    """Return where the table `labels` lies: where its path says, or else below `folder`; None for a pattern.

    A table that is in neither place is looked for where its path says.
    """
    source = os.fspath(labels)
    if "{" in source:
        return None
    given, below = (Path(os.path.expanduser(path)) for path in (source, os.path.join(folder, source)))
    return given if os.path.isfile(given) or not os.path.isfile(below) else below


def by_table(folder: Path, source: str) -> list[Entry]:
    """Return the rows of a table, which lies where its path says, or below `folder`. Raises DataError."""
    table = table_path(folder, source) or Path(source)
    text = _text(table)
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


def _text(table: Path) -> str:
    require_file(table, "Name a table, or a pattern such as '{label}_{speaker}_{take}.wav'.")
    try:
        if table.stat().st_size > LARGEST_TABLE:
            raise DataError(f"{table}: over LARGEST_TABLE = {LARGEST_TABLE >> 20} MiB. Name a table in CSV.")
        return table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: not a table in UTF-8 ({error}). Save it as CSV in UTF-8.") from error
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}). Mend this, and try again.") from error


def _entry(cells: dict[str, str], line: int) -> Entry:
    file = PurePosixPath(cells["file"].replace("\\", "/"))
    return Entry(str(file), cells["label"], cells.get("speaker", ""), cells.get("split", ""), f"line {line}")


def _header(text: str, table: Path) -> tuple[list[str], str]:
    """Return the titles of the columns, and what stands between them."""
    first = text.partition("\n")[0]
    if len(first) > LONGEST_HEADER:
        raise DataError(
            f"{table}: line 1: has {len(first)} characters, over LONGEST_HEADER = {LONGEST_HEADER}. Name the "
            "columns there, and what else stands there below."
        )
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


# --- folders ---------------------------------------------------------------------------------------


def audio_files(folder: str | os.PathLike) -> Iterator[str]:
    """Yield the paths below `folder` of its .wav and .flac files, with slashes; links are followed.

    Hidden files and folders, which some systems put beside every file, and broken links are no recordings. A
    folder that is not there holds none. Raises DataError for one that cannot be read.
    """
    yield from (
        file for file in _visible(Path(folder)) if _kind(file) in SUFFIXES and _is_there(folder, file)
    )


def looked_over(folder: Path) -> list[str]:
    """Return the audio files below `folder` in order; say which others are passed over."""
    files, visible = sorted(audio_files(folder)), sorted(_visible(folder))
    broken = [file for file in visible if _kind(file) in SUFFIXES and not _is_there(folder, file)]
    if broken:
        raise DataError(
            f"{folder}: {len(broken)} links lead nowhere: {several(broken)}. Mend or remove them."
        )
    others = [file for file in visible if OTHERS.fullmatch(_kind(file))]
    passed_over = f"{len(others)} audio files of other kinds, the first of them {others[0]}" if others else ""
    if not files:
        found = f", but {passed_over}. Convert them, or name" if others else ". Name"
        raise DataError(f"{folder}: holds no .wav or .flac file{found} the folder that holds the recordings.")
    if others:
        log.warning(
            "%s: passed over %s. Convert them to WAV or FLAC to have them heard.", folder, passed_over
        )
    return files


def _visible(folder: Path, below: str = "", above: frozenset = frozenset()) -> Iterator[str]:
    """Yield the paths below `folder` of what is neither hidden nor a folder.

    `above` are device and inode of the folders around: a link to one of them leads around for ever.
    """
    try:
        status = os.stat(folder / below)
        here = (status.st_dev, status.st_ino)
        names = [] if here in above else os.listdir(folder / below)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            f"{folder / below}: cannot be read ({error.strerror}). Mend its rights, or move it away."
        ) from error
    for name in names:
        path = f"{below}{name}"
        if name.startswith("."):
            continue
        if os.path.isdir(folder / path):
            yield from _visible(folder, f"{path}/", above | {here})
        else:
            yield path


def _kind(file: str) -> str:
    return os.path.splitext(file)[1].lower()


def _is_there(folder: str | os.PathLike, file: str) -> bool:
    return os.path.exists(os.path.join(folder, file))
