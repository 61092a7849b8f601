"""Random spikes of about the size of the Spiking Heidelberg Digits, for benchmarks that need no more than the
size.

SHD's training file has 8156 samples of about 8000 spikes, the longest of about 1.37 s. Here a sample lasts
between half and all of that, evenly spread, and its spikes fall evenly over time and channels.

Where the number of time steps T is to be exact, `even_store` gives samples of T steps each and of 7.7 spikes
a step, the density that SHD has in steps of 1 ms: 7700 at T = 1000.
"""

import numpy as np

from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.errors import SpsnError

SAMPLES = 8156
SPIKES = 8000
LONGEST = 1.37  # s
CLASSES = 20
SPIKES_PER_STEP = 7.7
MOST_STEPS = 2**16  # time bins are uint16


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


def even_store(samples: int, steps: int, seed: int = 0, density: float = SPIKES_PER_STEP) -> EventStore:
    """`samples` words of exactly `steps` steps of 1 ms and round(`density` x `steps`) >= 1 spikes each.

    Raises `SpsnError` for more steps than an event store can number.
    """
    check_steps(steps)
    rng, spikes = np.random.default_rng(seed), max(1, round(density * steps))
    cells = rng.integers(0, steps * CHANNELS, (samples, spikes))
    last = (steps - 1) * CHANNELS, steps * CHANNELS
    cells[:, -1] = rng.integers(*last, samples)  # else a sample could be shorter
    cells.sort(axis=1)
    time_bin, channel = np.divmod(cells.reshape(-1), CHANNELS)
    return EventStore(
        time_bin=time_bin.astype(np.uint16),
        channel=channel.astype(np.uint16),
        offsets=np.arange(samples + 1, dtype=np.int64) * spikes,
        label=np.arange(samples, dtype=np.int64) % CLASSES,
        speaker=np.zeros(samples, np.uint16),
        length=np.full(samples, steps, np.int32),
        classes=tuple(f"class {k}" for k in range(CLASSES)),
        time_step_ms=1.0,
    )


def check_steps(steps: int) -> None:
    """Raise `SpsnError` for more time steps than an event store can number, or for none."""
    if not 0 < steps <= MOST_STEPS:
        raise SpsnError(f"a sample has 1 to {MOST_STEPS} time steps, not {steps}; ask for as many")
