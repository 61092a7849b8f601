"""Asked to end (SIGTERM, as a cluster does), a training keeps what it has done; started again it ends as if
nothing had happened. The processes and the signals are real.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from disturbances import is_alive, start, wait_until
from support import ROOT, environment

from spsn import processes
from spsn.checkpoints import CheckpointStore
from spsn.errors import StoppedError
from spsn.files import write_json
from spsn.grid import find_block, run_settings
from spsn.records import read_record
from spsn.settings import from_mapping, to_mapping
from spsn.training import Data, train_block

BLOCK, SEEDS, EPOCHS = "accuracy/spsn-sb/augmented", (0, 1), 100
# Says when it may be asked, then every time that it was.
WORKER = """
import time
from spsn import processes
processes.ONE_CALL = 0.5
with processes.stop_at_sigterm() as asked:
    print("ready", flush=True)
    while not asked():
        time.sleep(0.01)
    print("asked", flush=True)
    time.sleep(60)
"""
# Says its number, and lives as long as those who started it.
WATCHER = """
import os, time
from spsn.processes import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def prepare(stores):
    """Writes what `spsn train` reads into a folder, and returns the command."""

    def prepared(folder, settings, seeds):
        write_json(folder / "settings.json", to_mapping(settings))
        for store, split in zip(stores, ("train", "test"), strict=True):
            store.save(folder / f"{split}.safetensors")
        block = ("--block", BLOCK, "--seeds", ",".join(map(str, seeds)), "--settings", "settings.json")
        data = ("--train", "train.safetensors", "--test", "test.safetensors", "--results", ".")
        return ["train", *block, *data]

    return prepared


@pytest.fixture
def seldom(settings):
    """Settings of a training that takes seconds, and that keeps no checkpoint unless it is asked to end."""
    config = to_mapping(settings)
    config["execution"]["checkpoint_every"] = EPOCHS
    config["experiments"]["accuracy"]["training"]["epochs"] = EPOCHS
    return from_mapping(config)


def outcome(folder):
    """Settings and result of every record."""
    records = [read_record(path) for path in sorted(folder.glob("runs/**/*.json"))]
    return [(record.settings, record.result) for record in records]


def kept(folder) -> list[int]:
    """After how many epochs there are checkpoints."""
    names = (path.name for path in folder.glob("checkpoints/**/*.epoch*.safetensors"))
    return sorted(int(re.search(r"epoch(\d+)", name)[1]) for name in names)


def disturb(command, folder, number: int) -> tuple[int, str]:
    """Start the training and send it a signal in its first epochs; returns status and messages."""
    process = start(folder, *command)
    for line in process.stderr:
        if ": epoch " in line:
            break
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    return process.returncode, messages


def test_a_training_that_is_asked_to_end_keeps_its_last_epoch_and_goes_on_from_it(tmp_path, prepare, seldom):
    quiet, disturbed = tmp_path / "quiet", tmp_path / "disturbed"
    quiet.mkdir()
    disturbed.mkdir()
    assert start(quiet, *prepare(quiet, seldom, SEEDS)).wait(timeout=120) == 0
    command = prepare(disturbed, seldom, SEEDS)
    status, messages = disturb(command, disturbed, signal.SIGTERM)
    (epoch,) = kept(disturbed)
    assert status == 143 and 0 < epoch < EPOCHS
    assert f"{epoch} of {EPOCHS} epochs kept" in messages and "Traceback" not in messages
    assert not list(disturbed.glob("runs/**/*.json"))
    assert start(disturbed, *command).wait(timeout=120) == 0
    assert outcome(disturbed) == outcome(quiet) and len(outcome(quiet)) == len(SEEDS)
    assert not kept(disturbed)


def test_ctrl_c_ends_a_training_at_once_and_cleanly(tmp_path, prepare, seldom):
    status, messages = disturb(prepare(tmp_path, seldom, (0,)), tmp_path, signal.SIGINT)
    assert status == 130 and messages.splitlines()[-1] == "spsn: interrupted" and "Traceback" not in messages
    assert not kept(tmp_path) and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("calls", [0, 1, 5, 6])
def test_wherever_it_is_asked_a_block_goes_on_from_there(tmp_path, settings, stores, calls):
    """Two runs of four epochs, asked before each: after `calls` of them the answer is to stop."""
    block, data = find_block(settings, BLOCK, SEEDS), Data(*stores)
    answers = iter([False] * calls + [True])
    with pytest.raises(StoppedError, match=f"{calls % 4} of 4 epochs kept"):
        train_block(settings, block, data, tmp_path / "disturbed", lambda: nullcontext(answers.__next__))
    store = CheckpointStore(tmp_path / "disturbed")
    digests = {"train_digest": stores[0].digest, "test_digest": stores[1].digest}
    first = run_settings(settings, block, 0, classes=4, **digests)
    assert bool(list((tmp_path / "disturbed").glob("**/seed0.done.json"))) == (calls >= 4)
    assert store.epochs(first) == ({calls} if 0 < calls < 4 else set())
    for name in ("disturbed", "quiet"):
        train_block(settings, block, data, tmp_path / name)
    assert outcome(tmp_path / "disturbed") == outcome(tmp_path / "quiet")


def test_two_calls_in_a_moment_are_one_and_a_later_one_ends_at_once():
    process = start(ROOT, before=WORKER)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.stdout.readline() == "asked\n"
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.6)
    process.terminate()
    assert process.wait(timeout=10) == processes.TERMINATED
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGXCPU])
def test_what_was_ignored_before_is_no_call_to_end(number):
    """As nohup has it; otherwise it is one."""
    for handler in (signal.SIG_IGN, signal.SIG_DFL):
        before = signal.signal(number, handler)
        try:
            with processes.stop_at_sigterm() as asked:
                signal.raise_signal(number)
                assert asked() == (handler is signal.SIG_DFL)
            comes_again = number == signal.SIGXCPU  # every second, also while what was asked is done
            assert signal.getsignal(number) is (signal.SIG_IGN if comes_again else handler)
        finally:
            signal.signal(number, before)


def test_who_watches_its_parent_ends_though_nobody_hears_it():
    run = "subprocess.run([sys.executable, '-c', sys.argv[1]], stderr=int(sys.argv[2]))"
    read, write = os.pipe()
    started = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; {run}", WATCHER, str(write)],
        env=environment(ROOT),
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[write],
    )
    worker = int(started.stdout.readline())
    os.close(read)
    os.close(write)
    started.kill()
    started.wait()
    try:
        assert wait_until(lambda: not is_alive(worker), 20)
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)


def test_afterwards_a_call_to_end_is_what_it_was_before():
    before = signal.getsignal(signal.SIGTERM)
    with processes.stop_at_sigterm() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before


def watching(*command: str) -> tuple[subprocess.Popen, int]:
    """A command that starts a process that watches who started it, and that process's number."""
    started = subprocess.Popen(
        command, env={**environment(ROOT), "WORK": WATCHER}, stdout=subprocess.PIPE, text=True
    )
    return started, int(started.stdout.readline())


# The second shell of each is there because it has something left to do.
IN_SHELLS = f'({shlex.quote(sys.executable)} -c "$WORK"; true); true'


def test_a_process_ends_with_the_one_that_started_it_also_behind_several_shells():
    driver = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]])"
    started, worker = watching(sys.executable, "-c", driver, IN_SHELLS)
    line = [worker]
    while line[-1] != started.pid:
        line.append(processes.parent_of(line[-1]))
    assert len(line) == 4  # two shells lie between
    started.kill()
    started.wait()
    assert wait_until(lambda: not is_alive(worker), 20)


def test_a_job_that_an_interactive_shell_put_into_the_background_outlives_that_shell():
    groups = 'set -m; bash -c "$0" & wait'  # each job in a group of its own, as on a terminal
    started, worker = watching("bash", "-c", groups, IN_SHELLS)
    started.kill()
    started.wait()
    try:
        time.sleep(4 * processes.INTERVAL)
        assert is_alive(worker)
    finally:
        os.kill(worker, signal.SIGKILL)
