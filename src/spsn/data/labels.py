"""Which recordings there are, and what each of them is: who says which word, for training or for the test.

`spsn.data.listings` reads it from a table, `patterns` from the names of the files. Here every word becomes a
number, every recording gets the name that its spikes depend on, and what cannot be right is refused: nothing
is left out in silence.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from spsn.data.listings import Entry, by_table, several
from spsn.data.patterns import by_pattern
from spsn.errors import DataError

SPLITS = ("train", "test")
MAX_NAMES = 65_536  # classes or speakers, whose numbers have 16 bits in a file of spikes
NOBODY = "unknown"  # who speaks where nothing says so
NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # surrogates: bytes of a file's name that are not UTF-8


@dataclass(frozen=True)
class Recording:
    """A file of sound: `name` is its path below the folder without suffix; label and speaker are numbers."""

    name: str
    path: Path
    label: int
    speaker: int
    split: str


@dataclass(frozen=True)
class Collection:
    """Recordings in the order of the SHA-256 (hex) of their names, which mixes classes and speakers."""

    recordings: tuple[Recording, ...]
    class_names: tuple[str, ...]
    speaker_names: tuple[str, ...]


def read_labels(
    folder: str | os.PathLike,
    table_or_pattern: str | os.PathLike,
    *,
    test_speakers: Sequence[str] = (),
    classes: Sequence[str] | None = None,
) -> Collection:
    """Return the recordings below `folder`: those that a table lists, or all, their file names a pattern.

    What contains a brace is a pattern; a table is looked for where its path says, then below `folder`. The
    split is said there, or else what `test_speakers` say is the test file and the rest trains. Classes are in
    the order of `classes`, else of their numbers where all labels are whole numbers, else of the alphabet,
    like speakers. Raises DataError, with the places, for what is missing, unknown or said twice.
    """
    folder, source = Path(folder).expanduser(), os.fspath(table_or_pattern)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Name the one that holds the recordings.")
    listed = by_pattern(folder, source) if "{" in source else by_table(folder, source)
    entries = _with_splits(listed, [str(speaker) for speaker in test_speakers], source)
    names = _ordered({e.label for e in entries}) if classes is None else tuple(map(str, classes))
    if len(set(names)) < len(names):
        raise DataError(f"the classes {', '.join(names)}: one comes twice. Name each once.")
    _refuse(source, [*_faults(folder, entries), *_strangers(entries, names)])
    speakers = tuple(sorted({e.speaker or NOBODY for e in entries}))
    if max(len(names), len(speakers)) > MAX_NAMES:
        raise DataError(
            f"{source}: names {len(names)} classes and {len(speakers)} speakers; there can be MAX_NAMES = "
            f"{MAX_NAMES} of each. Name the column that says them, or leave recordings out."
        )
    return Collection(tuple(_recordings(folder, entries, names, speakers)), names, speakers)


def _recordings(folder: Path, entries: list[Entry], names, speakers) -> list[Recording]:
    label, speaker = ({name: i for i, name in enumerate(all)} for all in (names, speakers))
    recordings = [
        Recording(_stem(e.file), folder / e.file, label[e.label], speaker[e.speaker or NOBODY], e.split)
        for e in entries
    ]
    return sorted(recordings, key=lambda recording: hashlib.sha256(recording.name.encode()).hexdigest())


def _stem(file: str) -> str:
    path = PurePosixPath(file)
    return str(path.with_suffix("")) if path.name else file  # "." and "/" have no name


def _ordered(labels: Iterable[str]) -> tuple[str, ...]:
    if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in labels):  # Python refuses numbers of 4301
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _with_splits(entries: list[Entry], test_speakers: list[str], source: str) -> list[Entry]:
    if any(e.split for e in entries):
        if test_speakers:
            raise DataError(
                f"{source}: says itself what the test file is. Leave out either that or test_speakers."
            )
        entries = [replace(e, split=e.split.lower()) for e in entries]
        _refuse(
            source,
            [f"{e.where}: {e.split!r} is neither train nor test" for e in entries if e.split not in SPLITS],
        )
    elif test_speakers:
        known = {e.speaker for e in entries} - {""}
        unknown = [name for name in test_speakers if name not in known]
        if unknown:
            said = f"says of nobody but {', '.join(sorted(known))}" if known else "does not say who speaks"
            raise DataError(
                f"{source}: {said}; test_speakers has {', '.join(unknown)}. Name those that it says."
            )
        entries = [replace(e, split="test" if e.speaker in test_speakers else "train") for e in entries]
    else:
        raise DataError(
            f"{source}: nothing says which recordings are for the test. Add a column 'split' (train or test) "
            "to the table, or {split} to the pattern, or name test_speakers, all of whose recordings are."
        )
    for split in SPLITS:
        if not any(e.split == split for e in entries):
            raise DataError(f"{source}: no recording is in the split {split!r}. Both splits need some.")
    return entries


def _faults(folder: Path, entries: list[Entry]) -> Iterator[str]:
    """Yield what is wrong with the files."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        path = PurePosixPath(entry.file)
        before = seen.setdefault(_stem(entry.file), entry)
        if NO_TEXT.search(entry.file):
            yield f"{ascii(entry.where)[1:-1]}: the name {ascii(entry.file)} holds what is no text"
        elif path.is_absolute() or ".." in path.parts:
            yield f"{entry.where}: {entry.file} leaves the folder {folder}"
        elif not os.path.isfile(folder / path):
            yield f"{entry.where}: there is no file {folder / path}"
        elif before is not entry:
            how = "is listed already" if before.file == entry.file else f"has the name of {before.file}"
            yield f"{entry.where}: {entry.file} {how} ({before.where})"


def _strangers(entries: list[Entry], names: Sequence[str]) -> Iterator[str]:
    for entry in entries:
        if entry.label not in names:
            yield f"{entry.where}: the label {entry.label!r} is none of the classes {', '.join(names)}"


def _refuse(source: str, faults: list[str]) -> None:
    if faults:
        raise DataError(f"{source}: {several(faults)}. Mend this, or leave these recordings out.")
