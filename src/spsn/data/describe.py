"""Facts of a data set for the report: files, digests, speakers, sources, and what every sample is like.

Samples are described from the event stores, so as they are used: what a limit leaves out is not counted. All
splits are read at the finest time step that all of them were binned in. A bin is closed on the right
(`spsn.data.events`), so the time of a spike is given as the end of its bin: right to within one time step.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spsn.data.events import EventStore
from spsn.data.statistics import Samples, median_sample, of_samples, summary, times
from spsn.errors import DataError
from spsn.files import digest, parse_object, read_text, write_rows
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
        "source": {split: read_source(path) for split, path in sources.items()},
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

    The sample is the `median_sample` of its class.
    """
    found = of_samples(store)
    for label, name in enumerate(found.class_names):
        if not (found.labels == label).any():
            continue
        i = median_sample(found, found.labels == label)
        row = {"class": name, "label": label, "split": split, "sample": i, "speaker": int(store.speaker[i])}
        channels = store.channel[store.offsets[i] : store.offsets[i + 1]]
        for time, channel in zip(times(store, i).tolist(), channels.tolist(), strict=True):
            yield {**row, "time_s": time, "channel": channel}


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


def _samples(split: str, store: EventStore) -> Iterator[dict[str, Any]]:
    found = of_samples(store)
    columns = found.labels, found.speakers, found.spikes, found.last_spike_s, found.active_channels
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for i, (label, speaker, spikes, last, channels) in enumerate(rows):
        yield {
            "split": split,
            "sample": i,
            "label": label,
            "class": found.class_names[label],
            "speaker": speaker,
            "spikes": spikes,
            "duration_s": last,
            "active_channels": channels,
        }


def _split(path: Path, store: EventStore, every: list[EventStore]) -> dict[str, Any]:
    found = of_samples(store)
    return {
        "file": str(path),
        "sha256": file_digest(path),
        "samples": len(store),
        "classes": len(store.classes),
        "speakers": np.unique(store.speaker).tolist(),
        "spikes_per_sample": float(found.spikes.mean()),
        "duration_s": float(store.length.mean() * store.time_step_ms / 1000),
        **_statistics(found),
        "digest": {f"{other.time_step_ms / 1000:g}": other.digest for other in every},
    }


def _statistics(found: Samples) -> dict[str, Any]:
    """Of the samples: spikes, time of the last spike, active channels; how many samples a class has."""
    last, channels = summary(found.last_spike_s), summary(found.active_channels)
    of_class = np.bincount(found.labels, minlength=len(found.class_names))
    return {
        "spikes": {"total": len(found.units), **summary(found.spikes)},
        "last_spike_s": {"mean": last["mean"], "max": last["max"]},
        "active_channels": {"mean": channels["mean"]},
        "samples_per_class": {"min": int(of_class.min()), "max": int(of_class.max())},
    }


def file_digest(path: str | Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises `DataError` where it cannot be read."""
    try:
        return digest(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the data rules again") from error


def read_source(path: Path) -> dict[str, Any]:
    """What was written beside a data file of where it came from. Raises `DataError`."""
    try:
        return parse_object(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the data rules again") from error
