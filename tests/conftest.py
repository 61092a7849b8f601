"""Small data sets, settings and a web server that the tests share.

Without a GPU Triton interprets its kernels; it looks for that when they are declared. Where several workers
share the cores, torch and what the tests start take one thread each: more would wait for one another.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import pytest
import torch
from support import load_config, make_words, small_run
from web import Server

from spsn.data.events import EventStore
from spsn.grid import RunSettings
from spsn.settings import Settings, from_mapping

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# What takes minutes: whole workflows, killed processes. With several workers it must not begin last.
LONGEST = ("test_readme.py", "test_workflow.py", "test_data_workflow.py", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not set(LONGEST) & set(item.path.parts))


@pytest.fixture(scope="session")
def stores() -> tuple[EventStore, EventStore]:
    """A training and a test store of four classes in steps of 2 ms."""
    return tuple(EventStore.from_spikes(make_words(n, 4, seed), 2.0) for n, seed in ((40, 1), (20, 2)))


@pytest.fixture
def run() -> RunSettings:
    """The settings of a small run."""
    return small_run()


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The micro configuration on the small stores: two epochs, a checkpoint after each."""
    config = load_config("paper", "micro")
    config["network"] |= {"time_step": 0.002, "hidden_size": 12, "hidden_layers": 2}
    config["training"] |= {"epochs": 4, "batch_size": 8}
    config["execution"] |= {"checkpoint_every": 1, "device": "cpu"}
    return from_mapping(config)


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine that does what it is told to (`web.Server`)."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    with Server() as server:
        yield server
