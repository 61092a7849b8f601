"""A machine that cannot give what is asked of it: no room on the disk, no right to write, no memory."""

import logging

import pytest
from disturbances import FOLDER, disk, finish, make_place, start
from support import make_words

from spsn.data.shd import write_split
from spsn.settings import from_mapping, to_mapping

# Leaves so many bytes to a process whose libraries are loaded.
LITTLE_MEMORY = """
import re, resource
import spsn.training
used = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + {more}, used + {more}))
"""


def test_no_room_for_a_checkpoint(place, undisturbed, monkeypatch, capsys):
    """Promised: it says what is full, and after room was made goes on. Seen: the second checkpoint
    found no room beside the first and was named, the first stayed; with more room, the same bits.
    """
    with disk(place.results, "160k") as mount:
        assert place.train(monkeypatch) == 1
        assert place.epochs() == [1]
        named = f"{FOLDER}/seed0.epoch2.safetensors: cannot be written (No space left on device). Make room"
        assert named in capsys.readouterr().err
        assert not place.leftovers() and not place.outcome()
        mount("size=10m")
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_no_room_for_a_record(place, undisturbed, monkeypatch, capsys):
    """Promised: what was trained is kept. Seen: weights found room, their record did not; with more room
    both were put there, not retrained.
    """
    with disk(place.results / "runs", "36k") as mount:
        assert place.train(monkeypatch) == 1
        assert "seed0.json: cannot be written (No space left on device)" in capsys.readouterr().err
        assert not place.outcome() and not place.leftovers()
        kept = {path: path.read_bytes() for path in (place.results / FOLDER).glob("*.done.*")}
        mount("size=10m")
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()
    assert len(kept) == 4 and all(path.read_bytes() == content for path, content in kept.items())


def test_no_room_for_an_event_store(tmp_path, place):
    """Promised: the old file stays until the new one is whole. Seen: `spsn events` named the disk and left
    the old store; with room, the same bytes as elsewhere.
    """
    write_split(tmp_path / "words.h5", make_words(40, 4, 1))
    command = ("events", "--data", "words.h5", "--time-step", "0.002", "--out", "disk/train.safetensors")
    with disk(tmp_path / "disk", "16k") as mount:
        (tmp_path / "disk" / "train.safetensors").write_text("old")
        status, messages = finish(start(tmp_path, *command))
        assert status == 1 and "No space left on device" in messages and "Traceback" not in messages
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["train.safetensors"]
        assert (tmp_path / "disk" / "train.safetensors").read_text() == "old"
        mount("size=1m")
        assert finish(start(tmp_path, *command))[0] == 0
        made = (tmp_path / "disk" / "train.safetensors").read_bytes()
    assert made == (place.folder / "train.safetensors").read_bytes()


def test_results_that_may_only_be_read(place, undisturbed, monkeypatch, capsys, caplog):
    """Promised: it says which place may not be written. Seen: refused before anything was trained, and again
    for a block of which three epochs were trained before; with the right to write, the same bits.
    """
    caplog.set_level(logging.INFO)
    refused = f"{FOLDER}/seed0.lock: cannot be written (Read-only file system)"
    with disk(place.results, "10m") as mount:
        for begun in (False, True):
            if begun:
                place.interrupt(monkeypatch)
                assert "runs to train" in caplog.text
            caplog.clear()
            mount("ro")
            with pytest.raises(OSError, match="Read-only"):
                (place.results / "x").touch()
            assert place.train(monkeypatch) == 1
            assert refused in capsys.readouterr().err and "runs to train" not in caplog.text
            mount("rw")
        assert place.epochs() == [3]
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_no_memory(tmp_path, settings, stores, monkeypatch):
    """Promised: too little memory is named, with what to do. Seen: the allocation failed, in a process
    whose address space was limited; without the limit it came to the same bits as one that never had it.
    """
    config = to_mapping(settings)
    config["network"]["hidden_size"] = config["experiments"]["accuracy"]["network"]["hidden_size"] = 3000
    config["execution"]["backend"] = "torch"
    wide = from_mapping(config)
    quiet, poor = (make_place(tmp_path / name, wide, stores, 1) for name in ("quiet", "poor"))
    status, messages = poor.run(LITTLE_MEMORY.format(more=100 << 20))
    assert status == 1 and "too little memory even for a single run" in messages, messages
    assert "Traceback" not in messages and not poor.epochs() and not poor.leftovers()
    for place in (quiet, poor):
        assert place.train(monkeypatch) == 0
    assert poor.outcome() == quiet.outcome() and len(quiet.outcome()) == 2
