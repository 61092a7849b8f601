"""What is read whole is a regular file within a bound: no pipe or device, which need not end, no sparse
terabyte.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import load_config

from spsn import checkpoints, published
from spsn.checkpoints import load_weights
from spsn.data import events
from spsn.data.describe import read_source
from spsn.data.events import EventStore
from spsn.errors import DataError, RecordError, SettingsError, SpsnError
from spsn.files import LARGEST_JSON
from spsn.published import FILES, load_published, read_manifest, use_weights
from spsn.records import read_record
from spsn.settings import from_mapping, load, renew
from spsn.verification.folder import ResultsFolder


def of_results(path: Path) -> None:
    ResultsFolder(path.parent).json(path.name)


JSON = {
    "record": (read_record, RecordError),
    "settings": (load, SettingsError),
    "manifest": (read_manifest, RecordError),
    "source": (read_source, DataError),
}
BOUNDS = {
    **{name: (read, error, LARGEST_JSON) for name, (read, error) in JSON.items()},
    "store": (EventStore.load, DataError, events.LARGEST),
    "published": (lambda path: load_published(path, sizes=None), RecordError, published.LARGEST),
}
READERS = {
    **{name: reader[:2] for name, reader in BOUNDS.items()},
    "weights": (load_weights, RecordError),
    "results folder": (of_results, RecordError),  # its findings name the file
}


@pytest.fixture
def pipe(tmp_path: Path):
    """A pipe that nobody writes into; who opens it all the same is let go in the end, and `opened` is set."""
    path, opened = tmp_path / "given", threading.Event()
    os.mkfifo(path)

    def let_go() -> None:
        opened.set()
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    end = threading.Timer(10, let_go)
    end.start()
    yield path, opened
    end.cancel()


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_unopened(name: str, pipe: tuple[Path, threading.Event]) -> None:
    read, error = READERS[name]
    with pytest.raises(error, match=None if name == "results folder" else "given: "):
        read(pipe[0])
    assert not pipe[1].is_set()


@pytest.mark.parametrize("name", [*JSON, "store", "published"])
def test_a_device_is_refused(name: str, tmp_path: Path) -> None:
    """One that ends at once, for whoever would read it: /dev/zero fills the memory."""
    (tmp_path / "given").symlink_to(os.devnull)
    read, error = READERS[name]
    with pytest.raises(error, match="given: .*a pipe or a device, not a file"):
        read(tmp_path / "given")


@pytest.mark.parametrize("name", BOUNDS)
def test_a_file_over_the_bound_is_refused(name: str, tmp_path: Path) -> None:
    read, error, largest = BOUNDS[name]
    for size in (largest + 1, 1 << 40):
        with open(tmp_path / "given", "wb") as file:
            file.truncate(size)
        with pytest.raises(
            error, match=rf"given: .*it has {size} bytes, and no sound file .* over {largest}"
        ):
            read(tmp_path / "given")


def test_weights_over_the_bound_are_refused(tmp_path: Path) -> None:
    """Their header is sound: without a bound all of it would be read."""
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    over = checkpoints.LARGEST + checkpoints.HEADER + 1
    body = over - 8 - len(header % (over, over))
    text = header % (body, body)
    with open(tmp_path / "given", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(over)
    with pytest.raises(RecordError, match="given: is no whole weights file"):
        load_weights(tmp_path / "given")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).symlink_to(os.devnull)])
def test_settings_are_written_where_no_file_lies(make: Callable, tmp_path: Path) -> None:
    settings, path = from_mapping(load_config("paper")), tmp_path / "settings.json"
    make(path)
    renew(settings, path)
    assert not path.is_symlink() and load(path) == settings


def test_published_weights_that_are_none_are_named(tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / FILES[0].path)
    with open(tmp_path / FILES[1].path, "wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(SpsnError) as error:
        use_weights(tmp_path)
    assert f"{FILES[0].path} is missing" in str(error.value)
    assert f"{FILES[1].path} is not the published file" in str(error.value)
