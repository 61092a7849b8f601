"""Small data sets and settings that the tests share."""

import pytest
from support import load_config, make_words

from spsn.data.events import EventStore
from spsn.grid import RunSettings
from spsn.settings import Settings, from_mapping


@pytest.fixture(scope="session")
def stores() -> tuple[EventStore, EventStore]:
    """A training and a test store of four classes in steps of 2 ms."""
    return tuple(EventStore.from_spikes(make_words(n, 4, seed), 2.0) for n, seed in ((40, 1), (20, 2)))


@pytest.fixture
def run() -> RunSettings:
    """The settings of a small run."""
    return RunSettings(
        experiment="accuracy", model="spsn-sb", condition="basic", seed=0, dataset="words", classes=4,
        train_digest="", test_digest="", hidden_layers=2, hidden_size=12, tau_mem=0.02, tau_syn=0.01, threshold=1.0,
        time_step=0.002, lif_reset="code", loss_mode="mean", rate_threshold=None, shift=0.1, scale=0.3, epochs=3,
        batch_size=8, learning_rate=0.001, backend="torch", threads=1,
    )  # fmt: skip


@pytest.fixture
def settings() -> Settings:
    """The micro configuration on the small stores: two epochs, a checkpoint after each."""
    config = load_config("paper", "micro")
    config["network"] |= {"time_step": 0.002, "hidden_size": 12, "hidden_layers": 2}
    config["training"] |= {"epochs": 4, "batch_size": 8}
    config["execution"] |= {"checkpoint_every": 1, "device": "cpu"}
    return from_mapping(config)
