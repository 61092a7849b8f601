"""All spikes of one split in memory: rows end to end in flat arrays, row i at `offsets[i]:offsets[i + 1]`."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

CHANNELS = 700


class Sample(NamedTuple):
    """One utterance: `times` (E_i,) float16 seconds, `units` (E_i,) uint16 channel, its label and speaker."""

    times: np.ndarray
    units: np.ndarray
    label: int
    speaker: int


@dataclass(frozen=True, eq=False)
class SpikeFile:
    """All spikes of one split, rows end to end; n samples, E spikes.

    times (E,) float16 seconds; units (E,) uint16 channel; offsets (n + 1,) int64; labels (n,) uint16;
    speakers (n,) uint16; class_names: name of each label; meta: arrays with one entry per speaker
    (gender, age in years, body_height in cm, name), as far as the file gives them; made_by: what made the
    file, in its own words; path: where it was read from.
    """

    times: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    class_names: tuple[str, ...]
    meta: dict[str, np.ndarray] = field(default_factory=dict)
    made_by: str | None = None
    path: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> Sample:
        """Sample `index` (negative counts from the end) as views of the flat arrays; IndexError outside."""
        index = range(len(self))[index]
        row = slice(self.offsets[index], self.offsets[index + 1])
        return Sample(self.times[row], self.units[row], int(self.labels[index]), int(self.speakers[index]))

    def unsorted(self) -> np.ndarray:
        """Numbers of the samples whose times fall somewhere, ascending."""
        falls = np.flatnonzero(self.times[1:] < self.times[:-1]) + 1
        falls = falls[~np.isin(falls, self.offsets)]  # a fall at a sample's first spike is no disorder
        return np.unique(np.searchsorted(self.offsets, falls, side="right") - 1)

    @classmethod
    def from_rows(cls, times, units, labels, speakers, class_names, meta=None, made_by=None) -> "SpikeFile":
        """Lay rows end to end: `times[i]` (seconds) and `units[i]` are the spikes of sample i.

        Raises ValueError where lengths do not fit one another or a whole number does not fit 16 bits.
        """
        check_rows(len(times), len(units), len(labels), len(speakers))
        lengths = np.array([len(row) for row in times], np.int64)
        check_lengths(lengths, np.array([len(row) for row in units], np.int64))
        return cls(
            times=as_float16(_end_to_end(times)),
            units=as_uint16(_end_to_end(units), "unit"),
            offsets=offsets_of(lengths),
            labels=as_uint16(labels, "label"),
            speakers=as_uint16(speakers, "speaker"),
            class_names=tuple(class_names),
            meta=dict(meta or {}),
            made_by=made_by,
        )


def check_rows(times: int, units: int, labels: int, speakers: int) -> None:
    """Raise ValueError unless there are as many rows of each."""
    if not times == units == labels == speakers:
        raise ValueError(
            f"{times} rows of times, {units} of units, {labels} labels, {speakers} speakers: these must be "
            "equal"
        )


def check_lengths(times: np.ndarray, units: np.ndarray) -> None:
    """Raise ValueError unless every row (n,) has as many units as times."""
    differ = np.flatnonzero(times != units)
    if differ.size:
        i = differ[0]
        raise ValueError(f"sample {i} has {times[i]} times but {units[i]} units")


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where rows of these lengths (n,) begin and end when laid end to end, (n + 1,) int64."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def as_float16(values: np.ndarray) -> np.ndarray:
    """Seconds as SHD keeps them; what is too great becomes infinite, which `check_split` refuses by place."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16, copy=False)


def as_uint16(values, what: str) -> np.ndarray:
    """Whole numbers as uint16. Raises ValueError, saying `what` they are, for others and those too great."""
    values = np.asarray(values)
    if values.dtype != np.uint16 and values.size:
        if values.dtype.kind not in "iu":
            raise ValueError(f"{what}s are {values.dtype}, not whole numbers")
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"a {what} is outside 0..65535")
    return values.astype(np.uint16, copy=False)


def _end_to_end(rows) -> np.ndarray:
    filled = [np.asarray(row) for row in rows if len(row)]  # an empty list has no type of its own
    return np.concatenate(filled) if filled else np.empty(0, np.uint16)
