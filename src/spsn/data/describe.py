"""Facts of a data set for the report: files, digests, speakers, sources, and what every sample is like.

Samples are described from the event stores, so as they are used: what a limit leaves out is not counted. All
splits are read at the finest time step that all of them were binned in. A bin is closed on the right
(`spsn.data.events`), so the time of a spike is given as the end of its bin: right to within one time step.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.errors import DataError
from spsn.files import write_rows
from spsn.settings import Settings

SAMPLE_COLUMNS = (
    "split",
    "sample",
    "label",
    "class",
    "speaker",
    "spikes",
    "duration_s",
    "active_channels",
)
RASTER_COLUMNS = ("class", "label", "split", "sample", "speaker", "time_s", "channel")


def describe(
    settings: Settings,
    files: Mapping[str, Path],
    stores: Mapping[str, list[Path]],
    sources: Mapping[str, Path],
) -> dict[str, Any]:
    """The content of `data.json`: per split its file, SHA-256, samples, classes, speakers, statistics of its
    samples and store digests.

    `stores` gives each split's event stores (one a time step); `sources` the JSON files that say where the
    files came from.
    """
    opened = {split: [EventStore.load(path) for path in paths] for split, paths in stores.items()}
    chosen = _finest(opened)
    return {
        "dataset": settings.dataset_name,
        "is_shd": settings.is_shd,
        "splits": {split: _split(path, chosen[split], opened[split]) for split, path in files.items()},
        "class_names": list(next(iter(chosen.values())).classes) if chosen else [],
        "source": {split: _read_source(path) for split, path in sources.items()},
    }


def finest(stores: Mapping[str, Sequence[Path]]) -> dict[str, EventStore]:
    """Each split's event store at the finest time step that all splits have (else each split's finest).

    Raises `DataError` where a store is absent or damaged.
    """
    return _finest({split: [EventStore.load(path) for path in paths] for split, paths in stores.items()})


def samples(stores: Mapping[str, EventStore]) -> list[dict[str, Any]]:
    """Every sample of every split as a row of `SAMPLE_COLUMNS`, in the order of the files.

    `duration_s` is the time of the last spike in s (0 for a silent sample), `active_channels` the number of
    channels with at least one spike.
    """
    return [row for split, store in stores.items() for row in _samples(split, store)]


def rasters(store: EventStore, split: str = "train") -> Iterator[dict[str, Any]]:
    """All spikes of one sample of each class as rows of `RASTER_COLUMNS`, times in s.

    The sample is the one whose number of spikes is the median of its class (of an even number of samples the
    lower of the two in the middle; of equals the first in the file), so that nobody chose it.
    """
    counts = np.diff(store.offsets)
    for label, name in enumerate(store.classes):
        of_class = np.flatnonzero(store.label == label)
        if not of_class.size:
            continue
        ranked = of_class[np.argsort(counts[of_class], kind="stable")]
        i = int(ranked[(len(ranked) - 1) // 2])
        row = {"class": name, "label": label, "split": split, "sample": i, "speaker": int(store.speaker[i])}
        spikes = slice(store.offsets[i], store.offsets[i + 1])
        for time_bin, channel in zip(store.time_bin[spikes], store.channel[spikes], strict=True):
            yield {**row, "time_s": _seconds(time_bin, store), "channel": int(channel)}


def write_samples(stores: Mapping[str, EventStore], out: str | Path) -> None:
    """Write `samples` to the CSV file `out`, which appears whole."""
    write_rows(samples(stores), out, SAMPLE_COLUMNS)


def write_rasters(store: EventStore, out: str | Path) -> None:
    """Write `rasters` of the training file's store to the CSV file `out`, which appears whole."""
    write_rows(rasters(store), out, RASTER_COLUMNS)


def _finest(opened: Mapping[str, Sequence[EventStore]]) -> dict[str, EventStore]:
    steps = [{store.time_step_ms for store in stores} for stores in opened.values()]
    common = set.intersection(*steps) if steps else set()
    return {
        split: min(stores, key=lambda store: (store.time_step_ms not in common, store.time_step_ms))
        for split, stores in opened.items()
    }


def _seconds(time_bin: int, store: EventStore) -> float:
    """The end of a bin in s, without the digits that binary fractions add."""
    return round(int(time_bin) * store.time_step_ms / 1000, 6)


def _samples(split: str, store: EventStore) -> Iterator[dict[str, Any]]:
    for i, label in enumerate(store.label.tolist()):
        channels = store.channel[store.offsets[i] : store.offsets[i + 1]]
        heard = np.zeros(CHANNELS, bool)
        heard[channels] = True
        yield {
            "split": split,
            "sample": i,
            "label": label,
            "class": store.classes[label],
            "speaker": int(store.speaker[i]),
            "spikes": len(channels),
            "duration_s": _seconds(store.length[i] - 1, store),
            "active_channels": int(heard.sum()),
        }


def _split(path: Path, store: EventStore, every: list[EventStore]) -> dict[str, Any]:
    return {
        "file": str(path),
        "sha256": file_digest(path),
        "samples": len(store),
        "classes": len(store.classes),
        "speakers": np.unique(store.speaker).tolist(),
        "spikes_per_sample": float(np.diff(store.offsets).mean()),
        "duration_s": float(store.length.mean() * store.time_step_ms / 1000),
        **_statistics(store),
        "digest": {f"{other.time_step_ms / 1000:g}": other.digest for other in every},
    }


def _statistics(store: EventStore) -> dict[str, Any]:
    """Of the samples: spikes, time of the last spike, active channels; how many samples a class has."""
    rows = list(_samples("", store))
    spikes, last, channels = (
        np.array([row[name] for row in rows], float) for name in ("spikes", "duration_s", "active_channels")
    )
    of_class = np.bincount(store.label, minlength=len(store.classes))
    return {
        "spikes": {
            "total": int(spikes.sum()),
            "mean": float(spikes.mean()),
            "sd": float(spikes.std(ddof=1)) if len(rows) > 1 else None,
            "min": int(spikes.min()),
            "median": float(np.median(spikes)),
            "max": int(spikes.max()),
        },
        "last_spike_s": {"mean": float(last.mean()), "max": float(last.max())},
        "active_channels": {"mean": float(channels.mean())},
        "samples_per_class": {"min": int(of_class.min()), "max": int(of_class.max())},
    }


def file_digest(path: str | Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises `DataError` where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the data rules again") from error


def _read_source(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the data rules again") from error
