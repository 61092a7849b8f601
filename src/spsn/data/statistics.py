"""What each sample is like, and a summary of it: spikes, time of the last one, active channels.

Of spikes in SHD's layout the time is the file's own; of an event store it is the end of the bin, which is
closed on the right (`spsn.data.events`), so right to within one time step.
"""

from dataclasses import dataclass

import numpy as np

from spsn.data.events import EventStore
from spsn.data.spikes import SpikeFile

BLOCK = 256  # samples whose channels are marked at a time: at most 16 MiB, whatever channels a file names
NO_SUMMARY = dict.fromkeys(("mean", "sd", "min", "median", "max"))


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples with E spikes.

    labels (n,); speakers (n,); spikes (n,): how many; last_spike_s (n,): time of the last spike in s, 0 for a
    silent sample; active_channels (n,): how many have at least one spike; units (E,): channel of every spike;
    class_names: name of each label.
    """

    labels: np.ndarray
    speakers: np.ndarray
    spikes: np.ndarray
    last_spike_s: np.ndarray
    active_channels: np.ndarray
    units: np.ndarray
    class_names: tuple[str, ...]


def of_samples(found: SpikeFile | EventStore) -> Samples:
    """What every sample of `found` is like; its arrays must fit one another."""
    stored = isinstance(found, EventStore)
    units = found.channel if stored else found.units
    return Samples(
        labels=found.label if stored else found.labels,
        speakers=found.speaker if stored else found.speakers,
        spikes=np.diff(found.offsets),
        last_spike_s=seconds(found.length - 1, found) if stored else _latest(found),
        active_channels=_active_channels(units, found.offsets),
        units=units,
        class_names=found.classes if stored else found.class_names,
    )


def seconds(time_bin: np.ndarray, store: EventStore) -> np.ndarray:
    """The ends of bins (n,) in s, float64, without the digits that binary fractions add."""
    return np.round(time_bin.astype(np.float64) * store.time_step_ms / 1000, 6)


def times(found: SpikeFile | EventStore, index: int) -> np.ndarray:
    """Times (E_i,) float64 in s of the spikes of sample `index`."""
    row = slice(found.offsets[index], found.offsets[index + 1])
    if isinstance(found, EventStore):
        return seconds(found.time_bin[row], found)
    return found.times[row].astype(np.float64)


def median_sample(samples: Samples, among: np.ndarray) -> int:
    """The sample, of those marked in `among` (n,) bool, with the median number of spikes.

    Of an even number of samples it is the lower of the two in the middle, of equals the first in the file, so
    that nobody chose it.
    """
    candidates = np.flatnonzero(among)
    ranked = candidates[np.argsort(samples.spikes[candidates], kind="stable")]
    return int(ranked[(len(ranked) - 1) // 2])


def summary(values: np.ndarray) -> dict[str, float | int | None]:
    """Mean, sd (over n - 1), min, median and max of the finite `values` (n,); None where there is none.

    Of whole numbers min and max are whole.
    """
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    if not values.size:
        return dict(NO_SUMMARY)
    return {
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if values.size > 1 else None,
        "min": values.min().item(),
        "median": float(np.median(values)),
        "max": values.max().item(),
    }


def _latest(spikes: SpikeFile) -> np.ndarray:
    last = np.zeros(len(spikes))
    filled = np.diff(spikes.offsets) > 0
    if filled.any():
        with np.errstate(invalid="ignore"):  # of a file with times that are no numbers
            last[filled] = np.maximum.reduceat(spikes.times, spikes.offsets[:-1][filled])
    return last


def _active_channels(units: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    counts, width = np.diff(offsets), int(units.max(initial=0)) + 1
    found = np.zeros(len(counts), np.int64)
    for begin in range(0, len(counts), BLOCK):
        block = counts[begin : begin + BLOCK]
        heard = np.zeros((len(block), width), bool)
        own = units[offsets[begin] : offsets[begin + len(block)]]
        heard[np.repeat(np.arange(len(block)), block), own] = True
        found[begin : begin + BLOCK] = heard.sum(axis=1)
    return found
