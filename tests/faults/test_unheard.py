"""Nobody hears a training any more: its terminal is closed, its reader has ended, its log's disk is full."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from disturbances import SPSN, disk
from support import ROOT, environment


@contextmanager
def ended(make):
    """One end of a terminal or pipe whose other end is closed."""
    other, stream = make()
    os.close(other)
    yield stream
    os.close(stream)


def closed_terminal(folder):
    """A terminal that nobody sits at any more."""
    return ended(os.openpty)


def reader_that_has_ended(folder):
    """A pipe that nobody reads any more."""
    return ended(os.pipe)


@contextmanager
def log_on_a_full_disk(folder):
    """A file that cannot grow."""
    with disk(folder / "logs", "4k"):
        (folder / "logs" / "others").write_bytes(bytes(4096))
        with open(folder / "logs" / "log", "wb") as log:
            yield log.fileno()
        assert (folder / "logs" / "log").stat().st_size == 0


@pytest.mark.parametrize("nowhere", [closed_terminal, reader_that_has_ended, log_on_a_full_disk])
def test_messages_that_cannot_be_written(place, undisturbed, tmp_path, nowhere):
    """Promised: messages that cannot be written end no training. Seen: not a word could be written; it came
    to its end, with status 0 and the same bits.
    """
    with nowhere(tmp_path) as stream:
        with pytest.raises(OSError):
            os.write(stream, b"a word")
        command = [sys.executable, "-c", SPSN, *place.command]
        done = subprocess.run(
            command, cwd=place.folder, env=environment(ROOT), stderr=stream, start_new_session=True
        )
    assert done.returncode == 0 and place.outcome() == undisturbed()
