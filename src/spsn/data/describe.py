"""Facts of a data set for the report: files, digests, sizes, speakers, where they came from."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spsn.data.events import EventStore
from spsn.errors import DataError
from spsn.settings import Settings


def describe(
    settings: Settings,
    files: Mapping[str, Path],
    stores: Mapping[str, list[Path]],
    sources: Mapping[str, Path],
) -> dict[str, Any]:
    """The content of `data.json`: per split its file, SHA-256, samples, classes, speakers, means and store
    digests.

    `stores` gives each split's event stores (one a time step); `sources` the JSON files that say where the
    files came from.
    """
    splits, names = {}, ()
    for split, path in files.items():
        opened = [EventStore.load(store) for store in stores[split]]
        names = opened[0].classes
        splits[split] = _split(path, opened)
    return {
        "dataset": settings.dataset_name,
        "is_shd": settings.is_shd,
        "splits": splits,
        "class_names": list(names),
        "source": {split: _read_source(path) for split, path in sources.items()},
    }


def _split(path: Path, stores: list[EventStore]) -> dict[str, Any]:
    finest = min(stores, key=lambda store: store.time_step_ms)
    return {
        "file": str(path),
        "sha256": file_digest(path),
        "samples": len(finest),
        "classes": len(finest.classes),
        "speakers": np.unique(finest.speaker).tolist(),
        "spikes_per_sample": float(np.diff(finest.offsets).mean()),
        "duration_s": float(finest.length.mean() * finest.time_step_ms / 1000),
        "digest": {f"{store.time_step_ms / 1000:g}": store.digest for store in stores},
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
