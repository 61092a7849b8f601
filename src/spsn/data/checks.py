"""Whether spikes can be trusted: every fault of a split with its place, and the limits that it must keep.

Two classes of one name are no fault: labels tell classes apart, names are for the reader, and a data set of
two languages may well hold a word of both (Dutch and German "vier").
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spsn.data.spikes import CHANNELS, SpikeFile
from spsn.errors import DataError

MAX_SAMPLE_SECONDS = 10.0  # SHD's longest sample lasts 1.37 s; ten seconds is a wrong unit, not a word
AGAIN = "Remove it and fetch, copy or make it again."


@dataclass(frozen=True)
class Expectation:
    """What a known file must hold: its number of samples and of classes (None: any)."""

    samples: int | None = None
    classes: int | None = None


SHD_EXPECTED = {"shd_train.h5": Expectation(8156, 20), "shd_test.h5": Expectation(2264, 20)}


def check_split(
    spikes: SpikeFile, path: str | os.PathLike, *, expect: Expectation | None = None
) -> SpikeFile:
    """Return `spikes` if their contents can be trusted; else raise DataError with the first of `faults`.

    Times may come in any order: the event store sorts them, and says so.
    """
    for fault in faults(spikes, expect=expect):
        raise DataError(f"{path}: {fault}. {AGAIN}")
    return spikes


def faults(spikes: SpikeFile, *, expect: Expectation | None = None) -> Iterator[str]:
    """Yield what is wrong with `spikes`, each fault with the place where it is first met.

    Checked: arrays that fit one another; at least a sample and a class; labels below the number of classes;
    units below CHANNELS; times finite, not negative, at most MAX_SAMPLE_SECONDS; with `expect`, the numbers
    of samples and classes. Where the arrays do not fit one another, nothing else can be judged.
    """
    misfit = _misfit(spikes)
    if misfit:
        yield misfit
        return
    found = {"samples": len(spikes), "classes": len(spikes.class_names)}
    for what, number in found.items():
        wanted = getattr(expect or Expectation(), what)
        if wanted is not None and number != wanted:
            yield f"{number} {what} where {wanted} are expected"
    if not spikes.class_names:
        yield "no class names"
    yield from _bad_numbers(spikes)


def _bad_numbers(spikes: SpikeFile) -> Iterator[str]:
    labels, units, times = spikes.labels, spikes.units, spikes.times
    classes = len(spikes.class_names)
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
            yield f"{describe(int(bad.argmax()))} ({bad.sum()} such in all)"


def _misfit(spikes: SpikeFile) -> str | None:
    n, offsets = len(spikes), spikes.offsets
    if n == 0:
        return "no samples"
    if spikes.times.dtype != np.float16 or spikes.units.dtype != np.uint16:
        return "times must be float16 and units uint16"
    if len(spikes.speakers) != n or len(spikes.times) != len(spikes.units):
        return "labels and speakers, or times and units, differ in length"
    ends = len(offsets) == n + 1 and offsets[0] == 0 and offsets[-1] == len(spikes.times)
    if not ends or (np.diff(offsets) < 0).any():
        return f"offsets do not divide {len(spikes.times)} spikes into {n} samples"
    return None
