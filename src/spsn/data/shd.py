"""The HDF5 layout of the Spiking Heidelberg Digits: read it, write it, check it.

Layout (Cramer, Stradmann, Schemmel & Zenke 2020, doi 10.1109/TNNLS.2020.3044364)::

    /spikes/times[i]   variable-length float16, seconds       /labels[i]         class of sample i
    /spikes/units[i]   variable-length uint16, channel        /extra/speaker[i]  speaker of sample i
    /extra/keys        class names                            /extra/meta_info/{gender,age,body_height}

SHD itself has 8156 training and 2264 test samples, 700 channels, 20 classes (0-9 English, 10-19 German) and
12 speakers. Any file in this layout is a data set: the number of classes is the number of its class names.
In memory the rows lie end to end in flat arrays; row i is `offsets[i]:offsets[i + 1]`.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from spsn.errors import DataError
from spsn.files import whole_file

CHANNELS = 700
MAX_SAMPLE_SECONDS = 10.0  # SHD's longest sample lasts 1.37 s; ten seconds is a wrong unit, not a word
DATASETS = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys")
AGAIN = "Remove it and fetch, copy or make it again."


class Sample(NamedTuple):
    """One utterance: `times` (E_i,) float16 seconds, `units` (E_i,) uint16 channel, its label and speaker."""

    times: np.ndarray
    units: np.ndarray
    label: int
    speaker: int


@dataclass(frozen=True)
class Expectation:
    """What a known file must hold: its number of samples and of classes (None: any)."""

    samples: int | None = None
    classes: int | None = None


SHD_EXPECTED = {"shd_train.h5": Expectation(8156, 20), "shd_test.h5": Expectation(2264, 20)}


@dataclass(frozen=True, eq=False)
class SpikeFile:
    """All spikes of one split, rows end to end; n samples, E spikes.

    times (E,) float16 seconds; units (E,) uint16 channel; offsets (n + 1,) int64; labels (n,) uint16;
    speakers (n,) uint16; class_names: name of each label; meta: arrays with one entry per speaker
    (gender, age in years, body_height in cm), as far as the file gives them.
    """

    times: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    class_names: tuple[str, ...]
    meta: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> Sample:
        """Sample `index` (negative counts from the end) as views of the flat arrays; IndexError outside."""
        index = range(len(self))[index]
        row = slice(self.offsets[index], self.offsets[index + 1])
        return Sample(self.times[row], self.units[row], int(self.labels[index]), int(self.speakers[index]))

    @classmethod
    def from_rows(cls, times, units, labels, speakers, class_names, meta=None) -> "SpikeFile":
        """Lay rows end to end: `times[i]` (seconds) and `units[i]` are the spikes of sample i.

        Raises ValueError where lengths do not fit one another or a whole number does not fit 16 bits.
        """
        if not len(times) == len(units) == len(labels) == len(speakers):
            raise ValueError(
                f"{len(times)} rows of times, {len(units)} of units, {len(labels)} labels, "
                f"{len(speakers)} speakers: these must be equal"
            )
        lengths = np.array([len(row) for row in times], np.int64)
        for i, row in enumerate(units):
            if len(row) != lengths[i]:
                raise ValueError(f"sample {i} has {lengths[i]} times but {len(row)} units")
        return cls(
            times=_float16(_end_to_end(times)),
            units=_uint16(_end_to_end(units), "unit"),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            labels=_uint16(labels, "label"),
            speakers=_uint16(speakers, "speaker"),
            class_names=tuple(class_names),
            meta=dict(meta or {}),
        )


def read_split(path: str | os.PathLike) -> SpikeFile:
    """Read a file in SHD's layout as it stands, in file order; `check_split` judges the contents.

    Times are rounded to float16, SHD's own type, should the file hold a wider one. Raises DataError when the
    file is absent, is no HDF5, is damaged, lacks a part of the layout, or has parts of unequal lengths.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            missing = [f"/{name}" for name in DATASETS if not isinstance(file.get(name), h5py.Dataset)]
            if missing:
                raise DataError(f"{path}: no {', '.join(missing)}: not a file in SHD's layout. {AGAIN}")
            return SpikeFile.from_rows(
                *(file[name][()] for name in DATASETS[:4]),
                class_names=[str(name) for name in _array(file["extra/keys"])],
                meta={
                    name: _array(item)
                    for name, item in file.get("extra/meta_info", {}).items()
                    if isinstance(item, h5py.Dataset)
                },
            )
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged, or not in SHD's layout ({error}). {AGAIN}") from error


def write_split(path: str | os.PathLike, spikes: SpikeFile) -> None:
    """Write `spikes` in SHD's layout, whole or not at all; the same spikes give the same bytes.

    Raises DataError, and writes nothing, where `check_split` would refuse the file.
    """
    check_split(spikes, path)
    # The oldest format puts no time stamp into groups and stays the same when the HDF5 library moves on.
    with whole_file(path) as part, h5py.File(part, "w", libver=("earliest", "v108")) as file:
        _write_rows(file, "spikes/times", spikes.times, spikes.offsets)
        _write_rows(file, "spikes/units", spikes.units, spikes.offsets)
        _write_array(file, "labels", spikes.labels)
        _write_array(file, "extra/speaker", spikes.speakers)
        _write_array(file, "extra/keys", np.array(spikes.class_names))
        file.require_group("extra/meta_info")
        for name in sorted(spikes.meta):
            _write_array(file, f"extra/meta_info/{name}", np.asarray(spikes.meta[name]))


def check_split(
    spikes: SpikeFile, path: str | os.PathLike, *, expect: Expectation | None = None
) -> SpikeFile:
    """Return `spikes` if their contents can be trusted; else raise DataError with the fault and its place.

    Checked: arrays that fit one another; labels below the number of classes; units below CHANNELS; times
    finite, not negative, at most MAX_SAMPLE_SECONDS; with `expect`, the numbers of samples and classes.
    Times may come in any order: the event store sorts them.
    """
    _check_shapes(spikes, path)
    _check_expected(spikes, path, expect or Expectation())
    classes, labels, units, times = len(spikes.class_names), spikes.labels, spikes.units, spikes.times
    limit = f"over MAX_SAMPLE_SECONDS = {MAX_SAMPLE_SECONDS:g}; times must be in seconds"

    def place(spike: int) -> str:
        sample = int(np.searchsorted(spikes.offsets, spike, side="right")) - 1
        return f"of spike {spike - spikes.offsets[sample]} in sample {sample}"

    for bad, describe in (
        (labels >= classes, lambda i: f"label {labels[i]} of sample {i}, but {classes} classes"),
        (units >= CHANNELS, lambda i: f"unit {units[i]} {place(i)}, but {CHANNELS} channels"),
        (~(times >= 0), lambda i: f"time {times[i]} s {place(i)} is negative or not a number"),
        (times > MAX_SAMPLE_SECONDS, lambda i: f"time {times[i]} s {place(i)} is {limit}"),
    ):
        if bad.any():
            raise DataError(f"{path}: {describe(int(bad.argmax()))} ({bad.sum()} such in all). {AGAIN}")
    return spikes


def is_web_page(head: bytes) -> bool:
    """Whether a file's first bytes are those of HTML, which servers send instead of what they do not have."""
    return head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Fetch it, or name the folder that holds it (data_dir).")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        with path.open("rb") as file:
            page = is_web_page(file.read(512))
        found = "a web page, not an HDF5 file" if page else f"not a whole HDF5 file ({error})"
        raise DataError(f"{path}: {found}. {AGAIN}") from error


def _check_expected(spikes: SpikeFile, path: str | os.PathLike, expect: Expectation) -> None:
    found = {"samples": len(spikes), "classes": len(spikes.class_names)}
    for what, number in found.items():
        wanted = getattr(expect, what)
        if wanted is not None and number != wanted:
            raise DataError(f"{path}: {number} {what} where {wanted} are expected. {AGAIN}")


def _check_shapes(spikes: SpikeFile, path: str | os.PathLike) -> None:
    n, offsets = len(spikes), spikes.offsets
    if n == 0:
        raise DataError(f"{path}: no samples. {AGAIN}")
    if spikes.times.dtype != np.float16 or spikes.units.dtype != np.uint16:
        raise DataError(f"{path}: times must be float16 and units uint16. {AGAIN}")
    if len(spikes.speakers) != n or len(spikes.times) != len(spikes.units):
        raise DataError(f"{path}: labels and speakers, or times and units, differ in length. {AGAIN}")
    ends = len(offsets) == n + 1 and offsets[0] == 0 and offsets[-1] == len(spikes.times)
    if not ends or (np.diff(offsets) < 0).any():
        raise DataError(f"{path}: offsets do not divide {len(spikes.times)} spikes into {n} samples. {AGAIN}")


def _end_to_end(rows) -> np.ndarray:
    filled = [np.asarray(row) for row in rows if len(row)]  # an empty list has no type of its own
    return np.concatenate(filled) if filled else np.empty(0, np.uint16)


def _float16(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which check_split refuses with its place
        return values.astype(np.float16, copy=False)


def _uint16(values, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype != np.uint16 and values.size:
        if values.dtype.kind not in "iu":
            raise ValueError(f"{what}s are {values.dtype}, not whole numbers")
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"a {what} is outside 0..65535")
    return values.astype(np.uint16, copy=False)


def _array(item: h5py.Dataset) -> np.ndarray:
    """A small data set, with text as str whichever way the file keeps it."""
    values = np.asarray(item[()])
    if values.dtype.kind not in "SO":
        return values
    return np.array(
        [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.ravel()], str
    )


def _write_rows(file: h5py.File, name: str, flat: np.ndarray, offsets: np.ndarray) -> None:
    rows = file.create_dataset(name, (len(offsets) - 1,), h5py.vlen_dtype(flat.dtype), track_times=False)
    for i in range(len(rows)):
        rows[i] = flat[offsets[i] : offsets[i + 1]]


def _write_array(file: h5py.File, name: str, values: np.ndarray) -> None:
    if values.dtype.kind == "U":
        values = np.char.encode(values, "utf-8")  # SHD keeps its texts as fixed-length bytes
    file.create_dataset(name, data=values, track_times=False)
