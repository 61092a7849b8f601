"""Random spikes with the size and the lengths of the Spiking Heidelberg Digits' training file.

What is known of it: 8156 samples, 20 classes, 700 channels, about 7,700 spikes a sample, batches of about
1000 steps of 1 ms, the longest sample of 1.37 s. How its lengths are spread is an assumption here: normal,
0.75 s +- 0.16 s, cut to 0.25 ... 1.37 s, so that the longest of 64, which is a batch's T, has about 1.1 s.
Every measurement tells its mean T (`mean_steps`); time is linear in it, so whoever has the file can put the
file's own in its place.

The 7,700 spikes of a sample grow with its length, and beside that vary by a fifth; they are even over its
time and the channels.
"""

from functools import lru_cache

import numpy as np

from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.timing.random_store import CLASSES, LONGEST, SAMPLES

MEAN, SPREAD, SHORTEST = 0.75, 0.16, 0.25  # s
SPIKES = 7700  # of a sample of mean length
LOUDNESS = 0.2  # standard deviation of a sample's spikes a step, as a share


@lru_cache(maxsize=1)
def shd_like(samples: int = SAMPLES, shorter: float = 1.0, seed: int = 0) -> EventStore:
    """`samples` words in steps of 1 ms; `shorter` divides their lengths. The last one asked for is kept."""
    rng = np.random.default_rng(seed)
    seconds = np.clip(rng.normal(MEAN, SPREAD, samples), SHORTEST, LONGEST) / shorter
    length = np.maximum(1, np.ceil(1000 * seconds)).astype(np.int32)
    loudness = np.clip(rng.normal(1.0, LOUDNESS, samples), 0.3, 1.7)
    counts = np.maximum(1, np.rint(SPIKES / (1000 * MEAN) * loudness * length)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    time_bin, channel = np.empty(offsets[-1], np.uint16), np.empty(offsets[-1], np.uint16)
    for begin, end, own in zip(offsets[:-1], offsets[1:], length.tolist(), strict=True):
        cells = rng.integers(0, own * CHANNELS, end - begin, dtype=np.uint32)
        cells[-1] = rng.integers((own - 1) * CHANNELS, own * CHANNELS)  # else a sample could be shorter
        cells.sort()
        time_bin[begin:end], channel[begin:end] = np.divmod(cells, CHANNELS)
    return EventStore(
        time_bin=time_bin,
        channel=channel,
        offsets=offsets,
        label=np.arange(samples, dtype=np.int64) % CLASSES,
        speaker=np.zeros(samples, np.uint16),
        length=length,
        classes=tuple(f"class {k}" for k in range(CLASSES)),
        time_step_ms=1.0,
    )
