"""Small spike files, and a web server on this machine that can misbehave."""

import numpy as np
import pytest

from spsn.data.shd import CHANNELS, SpikeFile


def make_spikes(samples: int = 24, classes: int = 20, seed: int = 0) -> SpikeFile:
    """Random words: sorted times up to a second, 0 to 60 spikes, every class and 12 speakers in turn."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 60, samples)
    return SpikeFile.from_rows(
        times=[np.sort(rng.random(n).astype(np.float16)) for n in counts],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(samples) % classes,
        speakers=np.arange(samples) % 12,
        class_names=[f"word {k}" for k in range(classes - 1)] + ["fünf"],
        meta={
            "gender": np.array(["female", "male"] * 6),
            "age": np.arange(20, 32, dtype=np.int16),
            "body_height": np.linspace(150, 190, 12, dtype=np.float32),
        },
    )


@pytest.fixture(name="make_spikes", scope="session")
def make_spikes_fixture():
    """`make_spikes(samples, classes, seed)`, for tests that need files of their own."""
    return make_spikes


@pytest.fixture
def spikes() -> SpikeFile:
    return make_spikes()
