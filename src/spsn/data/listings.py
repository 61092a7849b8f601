"""What is said of recordings: in a table, or in the names of their files.

A table is a CSV file in UTF-8, with commas, semicolons or tabs between its columns `file` (relative to the
folder of recordings, suffix included), `label`, and perhaps `speaker` and `split` (train or test). Other
columns are ignored.

A pattern names the same things in the paths of the audio files below the folder, as in
`{label}_{speaker}_{take}.wav` or `{split}/{label}-{speaker}-{take}.flac`. Other names in braces stand for
anything; none for nothing, and none for a slash. A name that comes twice stands for the same text both times.
A file that does not fit, fits in more than one way, or takes over MAX_STEPS to find out, is refused. Links
are followed; audio files of other kinds than WAV and FLAC are passed over with a warning.
"""

import csv
import difflib
import io
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
FIELD = re.compile(r"\{(\w+)\}")
MAX_STEPS = 10_000  # of the search for what a name's parts are; it takes some ten where each ends at a sign


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


# --- patterns --------------------------------------------------------------------------------------


class _TooManyWays(Exception):
    pass


def by_pattern(folder: Path, pattern: str) -> list[Entry]:
    """Return what the paths of the audio files below `folder` say. Raises DataError."""
    texts, fields = _parts(pattern)
    files = _looked_over(folder)
    strangers, unclear, endless, entries = [], [], [], []
    for file in files:
        try:
            ways = _ways(_plain(file), texts, fields)
        except _TooManyWays:
            endless.append(file)
            continue
        if len(ways) == 1:
            said = {"speaker": "", "split": ""} | ways[0]
            entries.append(Entry(file, said["label"], said["speaker"], said["split"], file))
        else:
            (unclear if ways else strangers).append(file)
    several_ways = (unclear, "fit in more than one way"), (endless, "may fit in too many ways to try")
    for bad, what in ((strangers, "do not fit"), *several_ways):
        if bad:
            raise DataError(
                f"{folder}: {len(bad)} of {len(files)} audio files {what} the pattern {pattern!r}: "
                f"{several(bad)}. Change the pattern, move these files away, or give a table."
            )
    return entries


def _parts(pattern: str) -> tuple[list[str], list[str]]:
    """The texts of a pattern (n + 1), and the n fields between them."""
    pieces = FIELD.split(_plain(pattern))  # text, field, text, ..., text
    texts, fields = pieces[::2], pieces[1::2]
    if "label" not in fields or any(brace in text for text in texts for brace in "{}"):
        raise DataError(
            f"{pattern!r}: not a pattern of file names. Name what stands in them in braces, {{label}} at "
            "least, as in '{label}_{speaker}_{take}.wav'."
        )
    return texts, fields


def _ways(name: str, texts: Sequence[str], fields: Sequence[str]) -> list[Mapping[str, str]]:
    """What the fields can stand for in `name`: no way, one, or two of several.

    From field to field it is kept where they can end, with two of the ways that lead there, since all of them
    may be as many as a power of the fields. A field that comes again keeps ways apart by what it stands for.
    Raises _TooManyWays after MAX_STEPS.
    """
    again = {field for field, count in Counter(fields).items() if count > 1}
    places = {(len(texts[0]), ()): [()]} if name.startswith(texts[0]) else {}
    steps = 0
    for field, text in zip(fields, texts[1:], strict=True):
        further: dict[tuple, list] = {}
        for (begin, known), ways in places.items():
            ends = _ends(name, begin, dict(known).get(field), text)
            steps += 1 + len(ends)
            if steps > MAX_STEPS:
                raise _TooManyWays
            for end in ends:
                said = field, name[begin:end]
                kept = (*known, said) if field in again and said not in known else known
                found = further.setdefault((end + len(text), kept), [])
                found += [(way, said) for way in ways[: 2 - len(found)]]
        places = further
    whole = [way for (end, _), ways in places.items() if end == len(name) for way in ways]
    return [_unrolled(way) for way in whole[:2]]


def _ends(name: str, begin: int, value: str | None, text: str) -> list[int]:
    """Where a field that begins at `begin` can end, which is before `text`; `value` is what it stands for, if
    its name came before.
    """
    if value is not None:
        end = begin + len(value)
        return [end] if name.startswith(value, begin) and name.startswith(text, end) else []
    slash = name.find("/", begin)
    limit = (len(name) if slash < 0 else slash) + len(text)
    ends = []
    end = name.find(text, begin + 1, limit)
    while end >= 0:
        ends.append(end)
        end = name.find(text, end + 1, limit)
    return ends


def _unrolled(way: tuple) -> dict[str, str]:
    said = {}
    while way:
        way, (field, value) = way
        said[field] = value
    return said


def _plain(path: str) -> str:
    """Return the path with an audio suffix in lower case: .WAV and .wav are one."""
    stem, suffix = os.path.splitext(path)
    return stem + suffix.lower() if suffix.lower() in SUFFIXES else path


# --- folders ---------------------------------------------------------------------------------------


def audio_files(folder: str | os.PathLike) -> Iterator[str]:
    """Yield the paths below `folder` of its .wav and .flac files, with slashes; links are followed.

    Hidden files and folders, which some systems put beside every file, and broken links are no recordings. A
    folder that is not there holds none. Raises DataError for one that cannot be read.
    """
    yield from (
        file for file in _visible(Path(folder)) if _kind(file) in SUFFIXES and _is_there(folder, file)
    )


def _looked_over(folder: Path) -> list[str]:
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
