"""One undisturbed training, and places in which to disturb the same one."""

import signal

import pytest
import torch
from disturbances import LONG, Place, make_place

EPOCHS = 6


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def undisturbed(settings, stores, tmp_path_factory):
    """The outcome of a training of so many epochs that nobody disturbed."""
    found = {}

    def outcome(epochs: int = EPOCHS, every: int = 1) -> dict:
        if (epochs, every) not in found:
            place = make_place(tmp_path_factory.mktemp("quiet"), settings, stores, epochs, every)
            with pytest.MonkeyPatch.context() as patch:
                assert place.train(patch) == 0
            found[epochs, every] = place.outcome()
            assert len(found[epochs, every]) == 2
        return found[epochs, every]

    return outcome


@pytest.fixture
def place(tmp_path, settings, stores) -> Place:
    """A place in which nothing has happened yet."""
    return make_place(tmp_path / "place", settings, stores, EPOCHS)


@pytest.fixture
def long_place(tmp_path, settings, stores) -> Place:
    """The same for a training of seconds."""
    return make_place(tmp_path / "place", settings, stores, LONG)


@pytest.fixture
def interrupted(place, monkeypatch) -> Place:
    """A training that was stopped after some epochs of its first run."""
    place.interrupt(monkeypatch)
    return place


@pytest.fixture
def terminal():
    """What is started hears of its terminal's end, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
