"""SIGKILL, by which a process can do nothing more, wherever a phase can be when it comes."""

import random
import signal
import subprocess
import sys
import time

from disturbances import AT_BYTE, AT_EVENT, FOLDER, LONG, finish, is_alive, start, wait_until
from support import ROOT, environment, make_words

from spsn.data.shd import write_split

CHECKPOINT = r"seed0\.epoch\d+\.safetensors$"


def test_killed_at_random_moments_of_an_epoch(long_place, undisturbed, monkeypatch):
    """Promised: it goes on from its last checkpoint to the same bits. Seen: three kills, the same bits."""
    chance = random.Random(11)
    for _ in range(3):
        before = long_place.epochs()
        trainer = long_place.start()
        assert wait_until(lambda old=before: long_place.epochs() not in (old, []))
        time.sleep(chance.uniform(0, 0.1))
        trainer.kill()
        assert finish(trainer)[0] == -signal.SIGKILL
    assert not long_place.outcome()
    assert long_place.train(monkeypatch) == 0 and long_place.outcome() == undisturbed(LONG)


def test_killed_in_the_middle_of_writing_a_checkpoint(place, undisturbed, monkeypatch):
    """Promised: no checkpoint is half-written, and what was begun is cleared away. Seen: the kernel ended
    the trainer at a byte of the file; nothing of it was left after the next training.
    """
    byte = random.Random(12).randrange(1000, 20_000)
    status, _ = place.run(AT_BYTE.format(byte=byte))
    assert status == -signal.SIGXFSZ
    assert place.epochs() == [] and len(place.leftovers()) == 1
    assert (place.results / FOLDER / place.leftovers()[0]).stat().st_size <= byte
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed() and not place.leftovers()


def test_killed_before_a_checkpoint_gets_its_name(place, undisturbed, monkeypatch):
    """Promised: the checkpoint before it serves. Seen: the third was whole but nameless; it went on from
    the second.
    """
    status, _ = place.run(AT_EVENT.format(event="os.rename", pattern=CHECKPOINT, count=3))
    assert status == -signal.SIGKILL and place.epochs() == [2] and len(place.leftovers()) == 1
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed() and not place.leftovers()


def test_killed_before_the_older_checkpoint_goes(place, undisturbed, monkeypatch):
    """Promised: of two checkpoints the newer serves. Seen: both stood; afterwards neither did."""
    status, _ = place.run(
        AT_EVENT.format(event="os.remove", pattern=r"/seed0\.epoch\d+\.safetensors ", count=2)
    )
    assert status == -signal.SIGKILL and place.epochs() == [2, 3]
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed() and place.epochs() == []


def test_killed_between_weights_and_record(place, undisturbed, monkeypatch):
    """Promised: weights without a record are no finished run. Seen: the run went on from its last
    checkpoint.
    """
    status, _ = place.run(AT_EVENT.format(event="os.rename", pattern=r"seed0\.done\.json$", count=1))
    assert status == -signal.SIGKILL and (place.results / FOLDER / "seed0.done.safetensors").exists()
    assert not (place.results / FOLDER / "seed0.done.json").exists() and place.epochs() == [6]
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_killed_while_results_are_put_into_their_place(place, undisturbed, monkeypatch):
    """Promised: where a record stands its weights stand. Seen: weights alone; then both, not retrained."""
    status, _ = place.run(AT_EVENT.format(event="os.rename", pattern=r"runs/.*seed0\.json$", count=1))
    assert status == -signal.SIGKILL and not place.outcome()
    assert [path.name for path in place.results.glob("runs/**/seed*")] == ["seed0.safetensors"]
    kept = {path: path.read_bytes() for path in (place.results / FOLDER).glob("*.done.*")}
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed() and not place.leftovers()
    assert len(kept) == 4 and all(path.read_bytes() == content for path, content in kept.items())


def test_a_trainer_whose_parent_is_killed_ends_and_can_be_gone_on_from(long_place, undisturbed, monkeypatch):
    """Promised: no orphan writes on. Seen: it ended; the next one took its lock."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'spsn.cli', *sys.argv[1:]])"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *long_place.command],
        cwd=long_place.folder,
        env=environment(ROOT),
        stderr=subprocess.DEVNULL,
    )
    assert wait_until(long_place.epochs)
    holder = (long_place.results / FOLDER / "seed0.lock").read_text().split()[1]
    assert is_alive(int(holder)) and int(holder) != parent.pid
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not is_alive(int(holder)), 10), "the trainer outlived its parent"
    assert long_place.epochs() and not long_place.outcome()
    assert long_place.train(monkeypatch) == 0 and long_place.outcome() == undisturbed(LONG)


def test_killed_while_an_event_store_is_written(place, tmp_path):
    """Promised: the store is there whole or not at all. Seen: nothing under its name; made again, the same
    bytes.
    """
    write_split(tmp_path / "words.h5", make_words(40, 4, 1))
    command = ("events", "--data", tmp_path / "words.h5", "--time-step", "0.002", "--out")
    byte = random.Random(13).randrange(500, 10_000)
    killed, _ = finish(start(tmp_path, *command, "new.safetensors", before=AT_BYTE.format(byte=byte)))
    assert killed == -signal.SIGXFSZ and not (tmp_path / "new.safetensors").exists()
    assert list(tmp_path.glob(".new.safetensors.*.part"))
    assert finish(start(tmp_path, *command, "new.safetensors"))[0] == 0
    assert not list(tmp_path.glob(".*.part"))
    assert (tmp_path / "new.safetensors").read_bytes() == (place.folder / "train.safetensors").read_bytes()
