"""The event store: every spike of a split in flat arrays, binned in time.

Time bins are those of the paper's authors: the float16 seconds t of the file are divided by the time step, a
Python float, and stay float16; the bin is the smallest integer that is not below the quotient::

    bin = ceil(float16(t / float16(step)))

Bins are closed on the right, and bin 0 receives t = 0 alone. Both roundings are part of the rule: float16 has
a spacing of 0.5 ms between 0.5 s and 1 s and of 1 ms above, and float16(0.001) is 0.0010004. Some spikes so
lie one bin before where float64 would put them (750.49 ms: bin 750, not 751; 1369.14 ms: bin 1369, not 1370).

Within a sample, events are ordered by time bin, then by channel. Several spikes in one cell stay several
events: a dense picture of the sample holds counts, not zeros and ones.
"""

import hashlib
import json
import logging
import os
import shlex
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spsn.data.shd import CHANNELS, SpikeFile
from spsn.errors import DataError, SettingsError
from spsn.files import check_size, parse_json, require_file, whole_file
from spsn.kinds import EVENT_STORE, HDF5, RUN_WEIGHTS, kind_of

log = logging.getLogger(__name__)

FORMAT = "spsn-events-1"
AGAIN = "Remove it and make it again."
MAKE = "spsn events --data FILE.h5 --time-step SECONDS --out STORE.safetensors"
LARGEST = 4 << 30  # bytes: as many spikes as are read from a data file, four bytes each, and some room
TYPES = {
    "time_bin": np.uint16,
    "channel": np.uint16,
    "offsets": np.int64,
    "label": np.int64,
    "speaker": np.uint16,
    "length": np.int32,
}
ARRAYS = tuple(TYPES)
DAMAGE = (
    *(SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError),
    *(OverflowError, RuntimeError),
)


def bin_times(times: np.ndarray, time_step_ms: float) -> np.ndarray:
    """Return the time bin (E,) uint16 of every spike time (E,) float16 in seconds, by the rule above.

    Raises SettingsError for a time step that is not positive, DataError for times that are negative, not
    finite, or more than 65,504 steps (float16's greatest number) from the start.
    """
    if not time_step_ms > 0:
        raise SettingsError(f"time_step_ms must be positive, not {time_step_ms}")
    step_s = float(time_step_ms) / 1000.0  # a Python float: a NumPy float64 would widen the quotient
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        bins = np.ceil(times.astype(np.float16, copy=False) / step_s)
    if not ((bins >= 0) & (bins < np.inf)).all():
        raise DataError(
            f"spike times negative, not finite or too late to be counted in steps of {time_step_ms} ms"
        )
    return bins.astype(np.uint16)


@dataclass(frozen=True, eq=False)
class EventStore:
    """All events of one split; n samples, E events; sample i owns the events offsets[i] to offsets[i + 1].

    time_bin (E,) uint16 and channel (E,) uint16, below CHANNELS; offsets (n + 1,) int64; label (n,) int64;
    speaker (n,) uint16; length (n,) int32 in time steps: last bin + 1, and 1 for a sample without a spike;
    classes: name of each label; time_step_ms: the bin width.
    """

    time_bin: np.ndarray
    channel: np.ndarray
    offsets: np.ndarray
    label: np.ndarray
    speaker: np.ndarray
    length: np.ndarray
    classes: tuple[str, ...]
    time_step_ms: float

    def __len__(self) -> int:
        return len(self.label)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take in memory."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over every array, the class names and the time step, and over nothing else."""
        state = hashlib.sha256(json.dumps([FORMAT, CHANNELS, self._settings()], sort_keys=True).encode())
        for name in ARRAYS:
            array = getattr(self, name)
            array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            state.update(f"{name} {array.dtype.str} {array.shape}".encode())
            state.update(array)
        return state.hexdigest()

    def dense(self, index: int) -> np.ndarray:
        """Spike counts (length, CHANNELS) uint16 of sample `index`; spikes in one cell add up."""
        row = slice(self.offsets[index], self.offsets[index + 1])
        counts = np.zeros((self.length[index], CHANNELS), np.uint16)
        np.add.at(counts, (self.time_bin[row], self.channel[row]), 1)
        return counts

    @classmethod
    def from_spikes(cls, spikes: SpikeFile, time_step_ms: float, limit: int | None = None) -> "EventStore":
        """Bin and order the spikes of the first `limit` samples (all by default).

        Unsorted times are sorted, with a warning in the log that names the file they were read from. `spikes`
        should have passed `shd.check_split`. Raises SettingsError for a time step or a limit that is not
        positive, DataError as `bin_times` does, with the file's name.
        """
        if limit is not None and limit < 1:
            raise SettingsError(f"the number of samples must be at least 1, not {limit}")
        n = min(len(spikes), limit or len(spikes))
        offsets = spikes.offsets[: n + 1].copy()
        times = spikes.times[: offsets[-1]]
        _warn_unsorted(spikes, n)
        try:
            time_bin = bin_times(times, time_step_ms)
        except DataError as error:
            raise DataError(
                f"{_origin(spikes)}: {error}. Use a longer time step, or mend the file."
            ) from error
        channel = spikes.units[: offsets[-1]].copy()
        _order(time_bin, channel, offsets)
        return cls(
            time_bin=time_bin,
            channel=channel,
            offsets=offsets,
            label=spikes.labels[:n].astype(np.int64),
            speaker=spikes.speakers[:n].copy(),
            length=_lengths(time_bin, offsets),
            classes=spikes.class_names,
            time_step_ms=float(time_step_ms),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the store as safetensors, whole or not at all; the same store gives the same bytes."""
        # One metadata entry: the order of several is left to chance by safetensors.
        metadata = {FORMAT: json.dumps(self._settings() | {"digest": self.digest}, sort_keys=True)}
        with whole_file(path) as part:  # tells a full disk from what safetensors says of it
            save_file({name: getattr(self, name) for name in ARRAYS}, part, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "EventStore":
        """Read a saved store; raises DataError when it is absent, no event store, or not what was saved."""
        require_file(path, "Make it from the data set's HDF5 file first.")
        try:
            check_size(path, LARGEST)
            with safe_open(path, framework="numpy") as file:
                settings = parse_json(file.metadata()[FORMAT])
                digest = settings.pop("digest")
                arrays = {name: file.get_tensor(name) for name in ARRAYS}
            store = cls(**arrays, classes=tuple(settings["classes"]), time_step_ms=settings["time_step_ms"])
            unchanged = store.digest == digest
        except DAMAGE as error:
            raise DataError(f"{path}: {_instead(path, error)}") from error
        if not unchanged:
            raise DataError(f"{path}: contents do not match their digest. {AGAIN}")
        if not _fits(store):
            raise DataError(f"{path}: its arrays do not fit one another. {AGAIN}")
        return store

    def _settings(self) -> dict:
        return {"classes": list(self.classes), "time_step_ms": self.time_step_ms}


def _instead(path: str | os.PathLike, error: Exception) -> str:
    """What lies in a store's place, and what to do."""
    kind = kind_of(path)
    if kind == HDF5:
        making = MAKE.replace("FILE.h5", shlex.quote(os.fspath(path)))
        return f"is {HDF5}, not an event store. Bin it with `{making}`, and name that store."
    if kind == RUN_WEIGHTS:
        return f"holds {RUN_WEIGHTS}, not an event store. Name a store that `spsn events` made."
    if kind == EVENT_STORE:
        return f"not a whole event store ({error}). {AGAIN}"
    return f"not a whole event store ({error}). Name one, or make it from a data file: `{MAKE}`."


def _fits(store: EventStore) -> bool:
    """Whether arrays that carry the right digest could have been made here: who wrote both may be wrong."""
    if not all(isinstance(name, str) for name in store.classes) or not _is_step(store.time_step_ms):
        return False
    if any(getattr(store, name).ndim != 1 for name in ARRAYS):
        return False
    n, events = len(store.label), len(store.time_bin)
    sizes = {"offsets": n + 1, "label": n, "speaker": n, "length": n, "time_bin": events, "channel": events}
    for name, kind in TYPES.items():
        if getattr(store, name).dtype != kind or getattr(store, name).shape != (sizes[name],):
            return False
    ends = store.offsets[0] == 0 and store.offsets[-1] == events and (np.diff(store.offsets) >= 0).all()
    below = (store.channel < CHANNELS).all() and (
        (store.label >= 0) & (store.label < len(store.classes))
    ).all()
    return bool(ends and below and (store.length == _lengths(store.time_bin, store.offsets)).all())


def _is_step(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < np.inf


def _origin(spikes: SpikeFile) -> str:
    return spikes.path or "spikes in memory"


def _warn_unsorted(spikes: SpikeFile, n: int) -> None:
    samples = spikes.unsorted()
    samples = samples[samples < n]
    if samples.size:
        log.warning(
            "%s: %d of %d samples have unsorted spike times (first: sample %d); sorted",
            _origin(spikes), samples.size, n, samples[0],
        )  # fmt: skip


def _order(time_bin: np.ndarray, channel: np.ndarray, offsets: np.ndarray) -> None:
    """Sort every sample's events in place by time bin, then channel: one 32-bit key holds both."""
    for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
        key = (time_bin[begin:end].astype(np.uint32) << 16) | channel[begin:end]
        key.sort()
        time_bin[begin:end] = key >> 16
        channel[begin:end] = key & 0xFFFF


def _lengths(time_bin: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    lengths = np.ones(len(offsets) - 1, np.int32)
    filled = np.diff(offsets) > 0
    lengths[filled] += time_bin[offsets[1:][filled] - 1]
    return lengths
