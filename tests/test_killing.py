"""Killed at any moment and started again, everything ends as if it had never been killed (invariant 2)."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support import environment, make_project, snakemake

from spsn.checkpoints import CheckpointStore
from spsn.files import write_json
from spsn.grid import find_block, run_settings
from spsn.records import read_record
from spsn.settings import to_mapping

EPOCHS = 40
BLOCKS = ("accuracy/spsn-sb/augmented", "accuracy/lif/basic")
RECORDS = tuple(f"results/tiny/runs/{block}/seed{seed}.json" for block in BLOCKS for seed in (0, 1))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Results of a workflow's training that nobody disturbed, by record."""
    folder = tmp_path_factory.mktemp("unbroken")
    make_project(folder, epochs=EPOCHS)
    done = snakemake(folder, *RECORDS)
    assert done.returncode == 0, done.stdout
    return outcomes(folder)


def outcomes(folder: Path) -> dict:
    """Settings and result of every run record below a project."""
    records = {
        str(p.relative_to(folder)): read_record(p) for p in sorted(folder.glob("results/tiny/runs/**/*.json"))
    }
    return {name: (record.settings, record.result) for name, record in records.items()}


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start a command of the project in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def trainers(folder: Path) -> list[int]:
    """Process numbers of the trainers at work in a project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            here = os.readlink(process / "cwd") == str(folder)
        except OSError:
            continue
        if here and b"train" in command and b"--block" in command:
            found.append(int(process.name))
    return found


def wait_until(condition, seconds: float = 60.0) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def kill(pid: int) -> None:
    """SIGKILL, unless it has just ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def train_command(results: str, settings: str, stores: str) -> tuple[str, ...]:
    """The command that trains the first block."""
    where = ("--results", results, "--settings", settings)
    data = ("--train", stores.format(split="train"), "--test", stores.format(split="test"))
    return ("spsn.cli", "train", "--block", BLOCKS[0], "--seeds", "0-1", *where, *data)


def test_a_killed_trainer_goes_on_where_it_was(tmp_path, unbroken):
    make_project(tmp_path, epochs=EPOCHS)
    assert snakemake(tmp_path, "data").returncode == 0  # settings and event stores
    results = "results/tiny"
    command = train_command(
        results, f"{results}/settings.json", f"{results}/events/{{split}}_2ms.safetensors"
    )
    chance, kills = random.Random(5), 0
    checkpoints = tmp_path / results / "checkpoints"
    for _ in range(3):
        trainer = start(tmp_path, *command)
        before = {p: p.stat().st_mtime_ns for p in checkpoints.glob("**/*.safetensors")}
        wait_until(
            lambda old=before: {p: p.stat().st_mtime_ns for p in checkpoints.glob("**/*.safetensors")} != old
        )
        time.sleep(chance.uniform(0, 0.3))
        kills += trainer.poll() is None
        kill(trainer.pid)
        trainer.wait()
    assert kills, "the training was over before it could be killed"
    assert start(tmp_path, *command).wait(timeout=120) == 0
    ours = outcomes(tmp_path)
    assert len(ours) == 2 and ours == {name: unbroken[name] for name in ours}


@pytest.mark.parametrize("with_trainers", [False, True], ids=["snakemake", "both"])
def test_a_killed_workflow_leaves_no_orphan_and_goes_on_where_it_was(tmp_path, unbroken, with_trainers):
    make_project(tmp_path, epochs=EPOCHS)
    workflow = start(tmp_path, "snakemake", "--cores", "2", *RECORDS, "--configfile", "tiny.yaml")
    assert wait_until(lambda: list(tmp_path.glob("results/tiny/checkpoints/**/seed*.safetensors")), 120)
    time.sleep(random.Random(7).uniform(0, 0.5))
    assert workflow.poll() is None
    at_work = trainers(tmp_path)
    kill(workflow.pid)
    if with_trainers:
        for pid in at_work:
            kill(pid)
    workflow.wait()
    assert wait_until(lambda: not trainers(tmp_path), 10), "a trainer outlived the workflow that started it"
    assert len(outcomes(tmp_path)) < len(unbroken)
    unlocked = snakemake(tmp_path, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout
    done = snakemake(tmp_path, *RECORDS)
    assert done.returncode == 0, done.stdout
    assert outcomes(tmp_path) == unbroken


def test_a_second_trainer_says_who_holds_the_block(tmp_path, settings, stores):
    write_json(tmp_path / "settings.json", to_mapping(settings))
    for store, split in zip(stores, ("train", "test"), strict=True):
        store.save(tmp_path / f"{split}.safetensors")
    block = find_block(settings, BLOCKS[0], (1,))
    digests = {"train_digest": stores[0].digest, "test_digest": stores[1].digest}
    held = run_settings(settings, block, 1, classes=4, **digests)
    with CheckpointStore(tmp_path).lock([held]):
        command = train_command(".", "settings.json", "{split}.safetensors")
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1 and f"process {os.getpid()}" in done.stderr and "Traceback" not in done.stderr
