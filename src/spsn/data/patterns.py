"""What is said of recordings in the names of their files.

A pattern names label, and perhaps speaker and split, in the paths of the audio files below a folder, as in
`{label}_{speaker}_{take}.wav` or `{split}/{label}-{speaker}-{take}.flac`. Other names in braces stand for
anything; none for nothing, and none for a slash. A name that comes twice stands for the same text both times.
A file that does not fit, fits in more than one way, or takes over MAX_STEPS to find out, is refused.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from spsn.data.listings import SUFFIXES, Entry, looked_over, several
from spsn.errors import DataError

FIELD = re.compile(r"\{(\w+)\}")
MAX_STEPS = 10_000  # of the search for what a name's parts are; it takes some ten where each ends at a sign


class _TooManyWays(Exception):
    pass


def by_pattern(folder: Path, pattern: str) -> list[Entry]:
    """Return what the paths of the audio files below `folder` say. Raises DataError."""
    texts, fields = _parts(pattern)
    files = looked_over(folder)
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
