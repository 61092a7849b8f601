"""What ends or holds up a training without killing it: requests to end, a freeze, a rival, a clock."""

import errno
import fcntl
import os
import random
import resource
import signal
import subprocess
import time

from disturbances import FOLDER, LONG, compiled_code, finish, make_place, wait_until

from spsn import compile_cache
from spsn.records import read_record

# The time of day is another by years at every look; who looked stands in the file `looks`, a module a line.
JUMPING_CLOCK = """
import datetime, sys, time
now, looks = time.time(), open("looks", "w", buffering=1)
count = 0
def jumped():
    global count
    count += 1
    print(sys._getframe(2).f_globals.get("__name__"), file=looks)
    return now + (-1) ** count * (1 + count % 25) * 365 * 86400.0
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(jumped(), tz)
    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(jumped(), datetime.timezone.utc).replace(tzinfo=None)
time.time = lambda: jumped()
time.time_ns = lambda: int(jumped() * 1e9)
datetime.datetime = Jumping
"""
# Waits, with all that takes time to import, until there is a file `go`.
AT_ONCE = """
import os, time, pathlib
import spsn.training
pathlib.Path(f"ready.{os.getpid()}").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.001)
"""


def lose_terminal(trainer: subprocess.Popen) -> None:
    """What the kernel sends to whom a closed terminal belonged to."""
    trainer.send_signal(signal.SIGHUP)


def use_up_time(trainer: subprocess.Popen) -> None:
    """Set a soft limit of processor time below what was used, at which the kernel warns by SIGXCPU."""
    resource.prlimit(trainer.pid, resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))


def test_asked_to_end_again_and_again(long_place, undisturbed, monkeypatch, terminal):
    """Promised: asked to end by SIGTERM, by a closed terminal or by a limit of processor time, it keeps the
    epoch it is in. Seen: three times it did, and said how to go on.
    """
    chance = random.Random(31)
    for ask in (subprocess.Popen.terminate, lose_terminal, use_up_time):
        before = long_place.epochs()
        trainer = long_place.start()
        assert wait_until(lambda old=before: long_place.epochs() not in (old, []))
        time.sleep(chance.uniform(0, 0.1))
        ask(trainer)
        status, messages = finish(trainer)
        assert status == 143 and "the same command goes on from there" in messages, messages
    assert not long_place.outcome() and not long_place.leftovers()
    assert long_place.train(monkeypatch) == 0 and long_place.outcome() == undisturbed(LONG)


def test_sigterm_before_the_first_epoch(place, undisturbed, monkeypatch):
    """Promised: nothing was begun, so nothing is in the way. Seen: it ended at once and left no file."""
    trainer = place.start()
    time.sleep(0.2)
    trainer.terminate()
    assert finish(trainer)[0] == -signal.SIGTERM
    assert not place.results.exists()
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_ctrl_c_to_a_trainer(long_place, undisturbed, monkeypatch):
    """Promised: it ends at once and cleanly. Seen: one line, status 130, nothing half-written."""
    trainer = long_place.start()
    assert wait_until(long_place.epochs)
    trainer.send_signal(signal.SIGINT)
    status, messages = finish(trainer)
    assert status == 130 and messages.splitlines()[-1] == "spsn: interrupted" and "Traceback" not in messages
    assert long_place.epochs() and not long_place.leftovers()
    assert long_place.train(monkeypatch) == 0 and long_place.outcome() == undisturbed(LONG)


def test_a_second_trainer_while_the_first_is_frozen(long_place, undisturbed, monkeypatch, capsys):
    """Promised: one trainer a block, and a machine that sleeps loses nothing. Seen: the second named the
    first and left; woken up, the first came to the same bits.
    """
    first = long_place.start()
    assert wait_until(long_place.epochs)
    first.send_signal(signal.SIGSTOP)
    before = {path: path.stat().st_mtime_ns for path in (long_place.results / FOLDER).glob("*.safetensors")}
    assert long_place.train(monkeypatch) == 1
    assert f"process {first.pid}" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in (long_place.results / FOLDER).glob("*.safetensors")}
    assert after == before and first.poll() is None
    first.send_signal(signal.SIGCONT)
    assert finish(first)[0] == 0 and long_place.outcome() == undisturbed(LONG)


def test_two_trainers_started_at_once(long_place, undisturbed):
    """Promised: one of them trains. Seen: both asked for the block at the same moment; one came to its end,
    the other said that it was being trained, and left.
    """
    both = [long_place.start(AT_ONCE) for _ in range(2)]
    assert wait_until(lambda: len(list(long_place.folder.glob("ready.*"))) == 2)
    assert all(trainer.poll() is None for trainer in both) and not long_place.results.exists()
    (long_place.folder / "go").touch()
    ends = sorted(finish(trainer) for trainer in both)
    assert [status for status, _ in ends] == [0, 1], ends
    assert ["is training this run; wait for it" in messages for _, messages in ends] == [False, True], ends
    assert not any("Traceback" in messages for _, messages in ends)
    assert long_place.outcome() == undisturbed(LONG) and not long_place.leftovers()


def test_a_file_system_without_locks(place, undisturbed, monkeypatch, caplog):
    """Promised: it trains all the same, and says what to heed. Seen: no run was taken for a busy one."""

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks)
        assert place.train(monkeypatch) == 0
    assert caplog.text.count("this file system has no locks") == 2
    assert place.outcome() == undisturbed()


def test_checkpoints_from_a_clock_that_jumped(interrupted, undisturbed, monkeypatch):
    """Promised: no time of a file decides anything. Seen: with one checkpoint of 2099 and its inputs of
    1980 the training went on from there.
    """
    (path,) = (interrupted.results / FOLDER).glob("seed0.epoch*.safetensors")
    os.utime(path, (4e9, 4e9))
    for name in ("settings.json", "train.safetensors", "test.safetensors"):
        os.utime(interrupted.folder / name, (3.2e8, 3.2e8))
    assert path.stat().st_mtime > time.time() + 1e9
    assert interrupted.train(monkeypatch) == 0 and interrupted.outcome() == undisturbed()


def test_a_clock_that_jumps_while_training(place, undisturbed, tmp_path):
    """Promised: durations come from a clock that cannot be set, and compiled code that is in use stays,
    whatever the time of day. Seen: it jumped by years at every look, of which the compile cache took some; no
    duration was negative or long, nothing was compiled anew, the same bits.
    """
    undisturbed()
    folder = compiled_code(tmp_path / "cache")
    other = folder.with_name(f"{compile_cache.PREFIX}other")
    other.mkdir()
    (other / compile_cache.USED).touch()
    status, messages = place.run(JUMPING_CLOCK, SPSN_CACHE_DIR=str(tmp_path / "cache"))
    assert status == 0 and "compiling" not in messages, messages
    assert (place.folder / "looks").read_text().split("\n").count("spsn.compile_cache") >= 2
    assert (folder / compile_cache.USED).exists()
    records = [read_record(path).execution for path in place.results.glob("runs/**/*.json")]
    assert len(records) == 2
    assert all(0 < seconds < 60 for record in records for seconds in record.epoch_seconds)
    assert all(0 < record.test_seconds < 60 for record in records)
    assert place.outcome() == undisturbed()


def test_a_folder_whose_name_has_spaces_and_other_letters(tmp_path, settings, stores, undisturbed):
    """Promised: any name of a folder will do. Seen: the whole command worked there, in a C locale."""
    strange = make_place(tmp_path / "Übung, die 2.\u2009'Reihe' & 実験 %s {x}", settings, stores, 6)
    status, messages = strange.run(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert status == 0, messages
    assert strange.outcome() == undisturbed()
