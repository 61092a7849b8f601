"""Random spikes of about the size of the Spiking Heidelberg Digits, for benchmarks that need no more than the
size.

SHD's training file has 8156 samples of about 8000 spikes, the longest of about 1.37 s. Here a sample lasts
between half and all of that, evenly spread, and its spikes fall evenly over time and channels.
"""

import numpy as np

from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile

SAMPLES = 8156
SPIKES = 8000
LONGEST = 1.37  # s
CLASSES = 20


def random_spikes(samples: int = SAMPLES, spikes: int = SPIKES, seed: int = 0) -> SpikeFile:
    """`samples` words of between half and one and a half times `spikes` spikes, sorted in time."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(spikes // 2, spikes + (spikes + 1) // 2, samples)
    duration = LONGEST * rng.uniform(0.5, 1.0, samples)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    times = np.empty(offsets[-1], np.float16)
    for begin, end, seconds in zip(offsets[:-1], offsets[1:], duration, strict=True):
        times[begin:end] = np.sort(rng.random(end - begin, np.float32)) * np.float32(seconds)
    return SpikeFile(
        times=times,
        units=rng.integers(0, CHANNELS, offsets[-1], dtype=np.uint16),
        offsets=offsets,
        labels=(np.arange(samples) % CLASSES).astype(np.uint16),
        speakers=(np.arange(samples) % 12).astype(np.uint16),
        class_names=tuple(f"class {k}" for k in range(CLASSES)),
        meta={},
    )


def random_store(
    samples: int = SAMPLES, spikes: int = SPIKES, seed: int = 0, time_step_ms: float = 1.0
) -> EventStore:
    """The same, binned."""
    return EventStore.from_spikes(random_spikes(samples, spikes, seed), time_step_ms)
